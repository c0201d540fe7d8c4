"""Tar files of given members."""

import io
import tarfile


def write_tar(path, members, mode="w", **options):
    with tarfile.open(path, mode, **options) as file:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path
