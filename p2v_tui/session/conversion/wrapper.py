"""The script that runs virt-v2v on the server, and the files with secrets that only virt-v2v may read."""

from __future__ import annotations

from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.plan.volume_keys import key_arguments, key_files
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory


def wrapper(
    directory: RemoteDirectory,
    plan: Plan,
    virt_v2v: VirtV2V,
    *,
    sudo: bool,
    storage: str | None,
) -> str:
    """storage: the directory on the server for the guest's files, if any and known."""
    debug = ["-v", "-x"] if plan.debug else []
    colours = ["--colours"] if virt_v2v.colours else []
    output = plan.output.arguments(virt_v2v, directory.output_password)
    keys = key_arguments(plan.keys, directory, virt_v2v)
    files = plan.output.mode.files(plan.guest.name, len(plan.disks))
    return remote_commands.wrapper_script(
        directory,
        ["virt-v2v", *debug, *colours, "-i", "libvirtxml", *keys, *output, directory.physical_xml],
        sudo=sudo,
        outputs=[f"{storage.rstrip('/')}/{name}" for name in files] if storage else [],
        variables=tuple(plan.output.environment),
        keeping=virt_v2v.kept_by_sudo,
    )


def secret_files(directory: RemoteDirectory, plan: Plan) -> dict[str, bytes]:
    """What only virt-v2v may read, by its path on the server. It is removed when virt-v2v ends."""
    password = plan.output.password
    files = {directory.output_password: password.reveal().encode()} if password else {}
    if variables := plan.output.environment:
        files[directory.environment] = remote_commands.environment_file(variables)
    return files | key_files(plan.keys, directory)
