"""Sound and pictures: decoding, conversion and MP4 files, all in process with PyAV."""
