"""A voice for ovos-tts-server without weights: espeak-ng. A text that begins with "Hang" is never spoken."""

import subprocess
import time

from ovos_plugin_manager.templates.tts import TTS


class Espeak(TTS):
    """Speaks into a WAV file."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, audio_ext="wav", **kwargs)

    def get_tts(self, sentence, wav_file, lang=None, voice=None):
        """Returns the file and no phonemes."""
        if sentence.startswith("Hang"):
            time.sleep(3600)
        subprocess.run(["espeak-ng", "-v", "en-us", "-w", wav_file, "--", sentence], check=True)
        return wav_file, None
