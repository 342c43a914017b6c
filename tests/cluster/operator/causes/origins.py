"""Where each reason is really caused: by a cause of the stage, or by a test elsewhere.

A new reason fails the tests until somebody has given it a place here.
"""

from __future__ import annotations

from avatar_core.errors import Reason

STAGED: dict[Reason, str] = {
    Reason.AVATAR_NOT_FOUND: "an-avatar-that-is-not-there",
    Reason.AVATAR_NOT_READY: "an-avatar-that-is-not-ready",
    Reason.PROVIDER_NOT_FOUND: "a-provider-that-is-not-there",
    Reason.PROVIDER_NOT_READY: "a-provider-that-is-not-ready",
    Reason.HISTORY_NOT_FOUND: "a-history-that-is-not-there",
    Reason.HISTORY_NOT_READY: "a-history-that-is-not-over",
    Reason.SUSPENDED: "suspended-and-let-go-on",
    Reason.CANCELLED: "cancelled",
    Reason.QUEUED: "held-by-kueue",
    Reason.WAITING_FOR_CAPACITY: "second-in-line",
    Reason.VIDEO_EXPIRED: "a-video-that-expires",
    Reason.CLEANUP_FAILED: "a-clean-up-that-fails-once",
    Reason.IMAGE_PULL_BACK_OFF: "an-image-that-is-not-there",
    Reason.SECRET_NOT_FOUND: "a-secret-that-is-not-there",
    Reason.CONTAINER_CANNOT_START: "a-command-that-is-not-there",
    Reason.START_TIMEOUT: "a-container-that-takes-too-long",
    Reason.DEADLINE_EXCEEDED: "a-hung-pod",
    Reason.OOM_KILLED: "out-of-memory-twice",
    Reason.RESULT_LOST: "two-pods-that-say-nothing",
    Reason.POD_FAILED: "a-pod-that-claims-to-be-suspended",
    Reason.QUOTA_EXCEEDED: "a-full-quota-of-pods",
    Reason.SERVICE_ACCOUNT_NOT_FOUND: "no-service-account",
    Reason.POD_REFUSED: "a-limit-range",
    Reason.POD_SECURITY_VIOLATION: "a-policy-that-spoils-its-pods",
    Reason.JOB_NAME_TAKEN: "another-job-of-its-name",
    Reason.NAMESPACE_TERMINATING: "a-namespace-that-can-not-go",
    Reason.UNSCHEDULABLE: "no-node-at-all",
    Reason.POD_DISRUPTED: "a-pod-that-is-evicted",
    Reason.NODE_LOST: "a-node-that-falls-silent",
}
"""The cause that brings a session to it; a cause whose pod only says so does not count."""

_FAILURES = "tests/session/test_pipeline_failures.py::"
_PREPARATION = "tests/session/test_preparation.py::"
_LLM_STATUS = _FAILURES + "test_final_failures_are_typed_at_once_and_passing_ones_after_some_tries"
_NO_VOICE = _FAILURES + "test_a_voice_that_is_none_is_final"
_TTS = "tests/session/test_speech_endpoint.py::"
_FACES = "tests/inference/source/test_faces.py::"
_WEIGHTS = "tests/inference/musetalk/"

TESTED: dict[Reason, str] = {
    Reason.INVALID_SPEC: "tests/session/test_cluster_run.py::test_a_document_that_is_none",
    Reason.INVALID_ARGUMENT: _FACES + "test_a_box_outside_of_the_picture_is_refused",
    Reason.INVALID_AUDIO: "tests/session/test_given_sound.py::test_what_is_no_sound_names_the_field",
    Reason.AUDIO_TOO_LONG: "tests/session/test_spool.py::test_endless_speech_is_stopped",
    Reason.INVALID_PICTURE: _PREPARATION + "test_it_ends_by_its_reason",
    Reason.SOURCE_REFUSED: "tests/cluster/pods/test_avatars.py::test_the_clusters_own_addresses_are_refused",
    Reason.SOURCE_NOT_FOUND: _PREPARATION + "test_it_ends_by_its_reason",
    Reason.SOURCE_TOO_LARGE: "tests/core/test_fetching.py::test_announced_lengths_are_not_believed",
    Reason.SOURCE_MISMATCH: _PREPARATION + "test_it_ends_by_its_reason",
    Reason.SOURCE_UNREACHABLE: _PREPARATION + "test_it_ends_by_its_reason",
    Reason.NO_FACE: "tests/cluster/pods/test_avatars.py::test_a_picture_without_a_face",
    Reason.SEVERAL_FACES: _FACES + "test_several_faces_are_listed_and_one_can_be_chosen",
    Reason.FACE_TOO_SMALL: _FACES + "test_a_small_face_is_refused_with_its_size",
    Reason.PREPARATION_TIMEOUT: _PREPARATION + "test_what_takes_too_long_is_given_up",
    Reason.AVATAR_INVALID: "tests/inference/test_bundle_io.py::test_a_hostile_bundle_is_refused",
    Reason.LLM_UNAUTHORIZED: "tests/cluster/pods/test_failures.py::test_a_wrong_key",
    Reason.LLM_NOT_FOUND: _LLM_STATUS,
    Reason.LLM_BAD_REQUEST: _LLM_STATUS,
    Reason.LLM_RATE_LIMITED: _LLM_STATUS,
    Reason.LLM_UNAVAILABLE: "tests/cluster/pods/test_failures.py::test_servers_that_are_down",
    Reason.LLM_INTERRUPTED: _LLM_STATUS,
    Reason.LLM_EMPTY_REPLY: _FAILURES + "test_a_reply_with_nothing_to_say",
    Reason.LLM_REFUSED: _LLM_STATUS,
    Reason.VOICE_NOT_FOUND: "tests/session/test_espeak.py::"
    "test_unknown_voices_are_refused_by_name_before_anything_is_spoken",
    Reason.TEXT_UNREADABLE: "tests/session/test_espeak.py::"
    "test_scripts_a_voice_would_spell_are_refused_by_name",
    Reason.SPEECH_UNAUTHORIZED: _NO_VOICE,
    Reason.SPEECH_NOT_FOUND: _TTS + "test_status_codes_are_typed",
    Reason.SPEECH_BAD_REQUEST: _NO_VOICE,
    Reason.SPEECH_RATE_LIMITED: _TTS + "test_status_codes_are_typed",
    Reason.SPEECH_UNAVAILABLE: _TTS + "test_status_codes_are_typed",
    Reason.SPEECH_INVALID: _NO_VOICE,
    Reason.SPEECH_SILENT: _NO_VOICE,
    Reason.WEIGHTS_MISSING: _WEIGHTS + "test_engine.py::test_the_command_ends_with_missing_weights",
    Reason.WEIGHTS_INVALID: _WEIGHTS + "test_weights_download.py::test_a_wrong_hash_is_refused_and_removed",
    Reason.WEIGHTS_UNAVAILABLE: _WEIGHTS + "test_weights_download.py::test_nobody_listening_is_given_up",
    Reason.DISK_FULL: _WEIGHTS + "test_weights_folder.py::test_a_full_disk_leaves_what_was_there",
    Reason.OVERLOADED: "tests/inference/test_render.py::"
    "test_queue_positions_are_told_and_end_with_acceptance",
    Reason.INFERENCE_UNAVAILABLE: "tests/cluster/pods/test_failures.py::test_servers_that_are_down",
    Reason.UNAUTHENTICATED: "tests/gateway/test_permissions.py::test_clients_raise_the_same_reasons",
    Reason.SLOW_READER: "tests/inference/test_render_errors.py::"
    "test_a_slow_reader_loses_its_place_and_harms_nobody",
    Reason.STORE_FULL: _FAILURES + "test_a_full_store_is_told_and_nothing_is_published",
    Reason.STORE_DENIED: "tests/session/test_cluster_run.py::test_a_denied_store_ends_the_job",
    Reason.STORE_UNAVAILABLE: "tests/cluster/pods/test_failures.py::test_a_gateway_that_is_down",
    Reason.CLUSTER_UNAVAILABLE: "tests/cluster/pods/test_rights.py::"
    "test_a_sweep_leaves_living_sessions_and_young_folders_alone",
    Reason.SESSION_NOT_FOUND: "tests/cluster/cli/test_asking.py::test_names_that_are_close_are_told",
    Reason.FORBIDDEN: "tests/cluster/cli/test_asking.py::test_who_may_not_is_told_what_right_is_missing",
    Reason.NOT_POSSIBLE: "tests/cluster/cli/test_changing.py::test_what_needs_no_attempt_is_left_alone",
    Reason.MISSING_DEPENDENCY: "tests/session/test_espeak.py::"
    "test_without_espeak_the_command_that_mends_it_is_told",
    Reason.INTERNAL: "tests/session/test_pod.py::test_a_bug_tells_its_kind_and_nothing_more",
    Reason.INSECURE_URL: "tests/cluster/operator/test_providers.py::"
    "test_a_provider_that_is_fixed_wakes_who_waits_for_it",
}
"""The function in which a process, or a provider's condition, really comes to it and says it by name."""
