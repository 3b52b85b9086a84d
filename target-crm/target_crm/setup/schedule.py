"""The lines by which cron or systemd starts a sync every night."""

from __future__ import annotations

import shlex
from pathlib import Path

from target_crm.setup.programs import find_program

KINDS = ("cron", "systemd", "none")
_CRON = "0 2 * * *"


def schedule(kind: str, env_file: Path, project: Path | None) -> str:
    """What to put into a crontab, or into files of systemd; empty for `none`.

    Args:
        kind: One of `KINDS`.
        env_file: The file with the settings.
        project: The folder of the Meltano project, None where there is none.
    """
    if kind == "none":
        return ""
    folder, start = _start(env_file, project)
    if kind == "cron":
        line = f"cd {shlex.quote(str(folder))} && {start} >> sync.log 2>&1 || tail -n 20 sync.log"
        heading = "# crontab -e: every night at two; a mail with the end of the log when it fails"
        return f"{heading}\n{_CRON} " + line.replace("%", "\\%")
    return (
        "# /etc/systemd/system/amocrm-sync.service\n"
        "[Unit]\nDescription=amoCRM into the CRM\nWants=network-online.target\nAfter=network-online.target\n\n"
        f"[Service]\nType=oneshot\nWorkingDirectory={folder}\n"
        f"ExecStart=/bin/sh -c {shlex.quote(start.replace('%', '%%'))}\n\n"
        "# /etc/systemd/system/amocrm-sync.timer, then: systemctl enable --now amocrm-sync.timer\n"
        "[Timer]\nOnCalendar=*-*-* 02:00:00\nPersistent=true\n\n[Install]\nWantedBy=timers.target"
    )


def _start(env_file: Path, project: Path | None) -> tuple[Path, str]:
    """The folder, and the command of one sync in it."""
    if project is not None:
        meltano = shlex.quote(find_program("meltano") or "meltano")
        return project, f"{meltano} run tap-amocrm target-crm"
    bin_folder = Path(find_program("tap-amocrm") or "/opt/amocrm/bin/tap-amocrm").parent
    script = shlex.quote(str(bin_folder / "amocrm-sync"))
    file = shlex.quote(str(env_file))
    return env_file.parent, f"set -a; . {file}; PATH={shlex.quote(str(bin_folder))}:$PATH {script}"
