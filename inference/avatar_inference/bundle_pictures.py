"""A bundle's pictures as one lossless video: FFV1, every picture a keyframe, in Matroska.

Small bundles are decoded whole; large ones picture by picture, behind a cache bounded in bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock

import av
import numpy as np
from av.codec.context import Flags
from av.video.stream import VideoStream

from avatar_inference.bundle import Picture, Pictures
from avatar_inference.bundle_manifest import Manifest, invalid

MILLISECONDS = 40
"""From picture to picture in the file; Matroska counts in milliseconds. The manifest has the real times."""
WHOLE_BYTES = 128 * 1024 * 1024
"""Bundles up to this size, decoded, are held in memory."""
CACHE_BYTES = 128 * 1024 * 1024
"""Decoded pictures held of a larger bundle."""
_CODER = {"level": "3", "slices": "4", "slicecrc": "1", "coder": "1", "context": "0"}
_FORMAT = "bgr0"
"""FFV1's lossless RGB."""


def write_pictures(pictures: Sequence[Picture] | Pictures, path: Path) -> None:
    """Writes uint8 RGB pictures of one size; the same pictures give the same bytes."""
    height, width = pictures[0].shape[:2]
    with av.open(path, "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("ffv1", rate=1000 // MILLISECONDS, options=_CODER)
        stream.width, stream.height, stream.pix_fmt = width, height, _FORMAT
        stream.codec_context.gop_size = 1
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= Flags.bitexact
        for index in range(len(pictures)):
            frame = av.VideoFrame.from_ndarray(pictures[index], "rgb24").reformat(format=_FORMAT)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def read_pictures(path: Path, manifest: Manifest) -> Pictures:
    """The pictures of a bundle, all of the manifest's size, as many as it has times.

    Raises:
        InvalidInputError: AvatarInvalid, when the file is damaged or is not what the manifest says. A large
            bundle's pictures are decoded, and may raise this, when they are asked for.
    """
    video = VideoPictures(path, manifest, CACHE_BYTES)
    if len(video) * 3 * manifest.width * manifest.height > WHOLE_BYTES:
        return video
    return tuple(video[index] for index in range(len(video)))


class VideoPictures:
    """Pictures decoded as they are asked for. Safe to use from any thread; the arrays are read-only."""

    def __init__(self, path: Path, manifest: Manifest, cache_bytes: int) -> None:
        self._size = manifest.width, manifest.height
        self._count = len(manifest.times_us)
        self._capacity = max(1, cache_bytes // (3 * manifest.width * manifest.height))
        self._cache: OrderedDict[int, Picture] = OrderedDict()
        self._lock = Lock()
        try:
            self._container = av.open(path, format="matroska", metadata_errors="replace")
            self._stream = self._checked_stream()
            self._check_packets()
            self._packets, self._next = self._demux_from(0)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise invalid(f"the bundle's pictures cannot be read: {error}") from None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Picture:
        """uint8 RGB [H, W, 3], read-only. Raises IndexError, or InvalidInputError where damaged."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        with self._lock:
            picture = self._cache.pop(index, None)
            if picture is None:
                picture = self._decode(index)
            self._cache[index] = picture
            while len(self._cache) > self._capacity:
                self._cache.popitem(last=False)
            return picture

    def _checked_stream(self) -> VideoStream:
        streams = self._container.streams
        if len(streams) != 1 or len(streams.video) != 1:
            raise ValueError(f"{len(streams)} streams instead of one video")
        stream = streams.video[0]
        context = stream.codec_context
        if context.name != "ffv1" or (context.width, context.height) != self._size:
            raise ValueError(f"{context.name} of {context.width}x{context.height}")
        context.thread_count = 2
        return stream

    def _check_packets(self) -> None:
        times = [packet.pts for packet in self._container.demux(self._stream) if packet.size]
        if times != [index * MILLISECONDS for index in range(self._count)]:
            raise ValueError(f"{len(times)} pictures where {self._count} should be, or at wrong times")

    def _demux_from(self, index: int) -> tuple[Iterator[av.Packet[VideoStream]], int]:
        self._container.seek(index * MILLISECONDS, stream=self._stream)
        return self._container.demux(self._stream), index

    def _decode(self, index: int) -> Picture:
        try:
            if index != self._next:
                self._packets, self._next = self._demux_from(index)
            frame = next(frame for packet in self._packets for frame in packet.decode())
            if frame.pts != index * MILLISECONDS or (frame.width, frame.height) != self._size:
                raise ValueError(f"found {frame.width}x{frame.height} at {frame.pts} ms")
        except (av.FFmpegError, ValueError, StopIteration) as error:
            self._next = -1
            raise invalid(f"picture {index} of the bundle cannot be decoded: {error}") from None
        self._next = index + 1
        picture: Picture = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
        picture.setflags(write=False)
        return picture
