"""Which firmware stays in the image."""

from __future__ import annotations

from pathlib import Path

from imagebuild.inside.firmware import superfluous


def test_what_no_module_asks_for_is_superfluous(tmp_path: Path) -> None:
    for name in ("bnx2/a.fw", "bnx2/b.fw.xz", "nvidia/gpu.bin", "intel-ucode/06-55-04", "e100/real.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "e100/link.bin").symlink_to("real.bin")
    (tmp_path / "nvidia/link.bin").symlink_to("gpu.bin")
    found = superfluous(tmp_path, {"bnx2/*.fw", "e100/link.bin", "qed/not-there.bin"})
    assert {str(path.relative_to(tmp_path)) for path in found} == {"nvidia/gpu.bin", "nvidia/link.bin"}
