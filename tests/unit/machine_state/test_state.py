"""What is drift on a machine, and what is not; what a run has done is recorded, what somebody did before stays."""

import os
import time

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils import machine_state, machine_state_record
from ansible_collections.stagecraft.platform.plugins.module_utils.drift import MACHINE_KINDS, drift_ignored
from described_machine import package, unit

NEVER = 0.0


def test_nothing_differs_from_what_was_just_recorded(machine):
    assert machine.told(machine.record()) == []


def test_files_of_trees_and_of_watched_folders(machine):
    machine.write("/etc/systemd/system/a.service.d/x.conf", "[Service]\n")
    record = machine.record()
    machine.write("/srv/page", "second\n", 0o600)
    machine.write("/etc/demo/secret", "another-password\n", 0o640)
    machine.write("/etc/sudoers.d/bob", "bob ALL=(ALL) ALL\n", 0o440)
    machine.write("/etc/systemd/system/b.service", "[Service]\n")
    machine.write("/etc/demo/others", "is nobody's\n")
    (machine.root / "etc/systemd/system/a.service.d/x.conf").unlink()
    assert machine.told(record) == [
        ("file", "/etc/demo/secret", "changed", "content", "hidden (11 bytes)", "hidden, changed (17 bytes)"),
        ("file", "/etc/sudoers.d/bob", "new", "", "", ""),
        ("file", "/etc/systemd/system/a.service.d/x.conf", "gone", "", "", ""),
        ("file", "/etc/systemd/system/b.service", "new", "", "", ""),
        ("file", "/srv/page", "changed", "content", "hidden (6 bytes)", "hidden, changed (7 bytes)"),
        ("file", "/srv/page", "changed", "mode", "0644", "0600"),
    ]


def test_a_file_that_became_a_link_or_a_pipe(machine):
    record = machine.record()
    (machine.root / "srv/page").unlink()
    (machine.root / "srv/page").symlink_to("/etc/passwd")
    assert machine.told(record) == [("file", "/srv/page", "changed", "type", "file", "link")]
    (machine.root / "srv/page").unlink()
    os.mkfifo(machine.root / "srv/page")
    assert ("file", "/srv/page", "changed", "type", "file", "special file") in machine.told(record)


def test_packages_that_somebody_asked_for(machine):
    record = machine.record()
    left = package("bash", "Essential: yes\n") + package("nano", state="config-files")
    machine.write("/var/lib/dpkg/status", left + package("tcpdump") + package("libpcap"))
    machine.write("/var/lib/apt/extended_states", "Package: libpcap\nArchitecture: amd64\nAuto-Installed: 1\n\n")
    machine.write("/var/log/dpkg.log.1", "2026-01-02 03:04:05 install tcpdump:amd64 <none> 4.98\n")
    machine.write(
        "/var/log/dpkg.log",
        "2026-02-02 03:04:05 install tcpdump:amd64 <none> 4.99\n2026-02-02 03:04:06 status installed tcpdump:amd64 4.99\n",
    )
    assert machine.told(record) == [("package", "nano", "gone", "", "", ""), ("package", "tcpdump", "new", "", "", "")]
    gone, new = machine_state.compare(record, machine.take(record))
    assert gone.at is None and new.at == time.mktime((2026, 2, 2, 3, 4, 5, 0, 0, -1))


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        ({}, {"ActiveState": "inactive", "SubState": "dead"}, ("active", "inactive")),
        ({}, {"ActiveState": "failed", "SubState": "failed"}, ("active", "failed")),
        ({}, {"ActiveState": "activating", "SubState": "auto-restart"}, ("active", "fails and is started again")),
        ({"UnitFileState": "static"}, {"ActiveState": "inactive", "UnitFileState": "static"}, ("active", "inactive")),
        ({"ActiveState": "inactive"}, {}, ("inactive", "active")),
        ({"ActiveState": "failed"}, {"UnitFileState": "disabled"}, ("failed", "active")),
        ({}, {"ActiveState": "deactivating"}, None),
        ({}, {"ActiveState": "reloading"}, None),
        ({}, {"ActiveState": "inactive", "ConditionResult": "no"}, None),
        ({"ActiveState": "activating", "SubState": "start"}, {}, None),
        ({"ActiveState": "inactive"}, {"ActiveState": "failed"}, None),
        ({"ActiveState": "inactive"}, {"UnitFileState": "static"}, None),
        ({"ActiveState": "inactive"}, {"UnitFileState": "transient", "Transient": "yes"}, None),
        ({"ActiveState": "inactive"}, {"Type": "oneshot", "SubState": "exited"}, None),
        ({"ActiveState": "inactive"}, {"TriggeredBy": "ssh.socket"}, None),
        ({"UnitFileState": "static", "BusName": "org.x"}, {"ActiveState": "inactive", "UnitFileState": "static"}, None),
        ({"Id": "user@1000.service"}, {"Id": "user@1000.service", "ActiveState": "inactive"}, None),
    ],
)
def test_units_that_stop_and_that_somebody_starts(machine, then, now, told):
    machine.answer = unit(**then)
    record = machine.record()
    machine.answer = unit(**now)
    assert machine.told(record) == ([("unit", "ssh.service", "changed", "active", *told)] if told else [])


def test_units_that_are_enabled_and_masked_by_links(machine):
    folder = machine.root / "etc/systemd/system"
    (folder / "multi-user.target.wants").mkdir(parents=True)
    (folder / "multi-user.target.wants/nginx.service").symlink_to("/usr/lib/systemd/system/nginx.service")
    record = machine.record()
    (folder / "multi-user.target.wants/nginx.service").unlink()
    (folder / "cron.service").symlink_to("/dev/null")
    (folder / "sshd.service").symlink_to("/usr/lib/systemd/system/ssh.service")
    assert machine.told(record) == [
        ("unit", "cron.service", "changed", "enabled", "disabled", "masked"),
        ("unit", "nginx.service", "changed", "enabled", "enabled", "disabled"),
    ]


def test_users_and_groups_without_their_hashes(machine):
    record = machine.record()
    assert "$y$" not in str(record.things)
    passwd = (machine.root / "etc/passwd").read_text()
    machine.write(
        "/etc/passwd", passwd.replace("/root:/bin/bash", "/root:/bin/sh") + "bob:x:1001:1001::/home/bob:/bin/sh\n"
    )
    machine.write(
        "/etc/shadow", "root::20000:0:99999:7:::\nanna:$y$j9T$salt$other:20000:0:99999:7:::\nbob:!:20000::::::\n"
    )
    machine.write("/etc/group", "root:x:0:\nsudo:x:27:bob,anna\n")
    assert machine.told(record) == [
        ("group", "anna", "gone", "", "", ""),
        ("group", "sudo", "changed", "members", "anna", "anna,bob"),
        ("user", "anna", "changed", "password", "set", "changed"),
        ("user", "bob", "new", "", "", ""),
        ("user", "root", "changed", "password", "locked", "none"),
        ("user", "root", "changed", "shell", "/bin/bash", "/bin/sh"),
    ]


def test_what_changed_before_a_run_stays_drift_and_what_the_run_changed_does_not(machine, before):
    record = machine.record()
    machine.write("/etc/sudoers.d/bob", "bob ALL=(ALL) ALL\n", 0o440)
    time.sleep(0.02)
    began = time.time()
    time.sleep(0.02)
    machine.write("/srv/page", "second\n")
    kept = [("file", "/etc/sudoers.d/bob", "new", "", "", "")]
    record = machine_state.adopt(record, machine.take(record), "2026-02-01T00:00:00Z", began)
    assert machine.told(record) == kept
    (bob,) = machine_state.compare(record, machine.take(record))
    assert before < bob.at < began
    # What was drift before stays it, whatever touches the file later.
    (machine.root / "etc/sudoers.d/bob").chmod(0o440)
    record = machine_state.adopt(record, machine.take(record), "2026-02-02T00:00:00Z", began)
    assert machine_state.compare(record, machine.take(record)) == [bob]
    record = machine_state.adopt(record, machine.take(record), "2026-02-03T00:00:00Z", NEVER)
    assert machine.told(record) == kept


def test_every_kind_of_change_can_stay(machine):
    (machine.root / "etc/systemd/system/multi-user.target.wants").mkdir(parents=True)
    record = machine.record()
    (machine.root / "etc/systemd/system/multi-user.target.wants/cron.service").symlink_to("/dev/null")
    (machine.root / "srv/page").unlink()
    machine.write("/etc/group", "root:x:0:\nsudo:x:27:\nbob:x:1001:\n")
    machine.answer = unit(ActiveState="failed", InactiveEnterTimestamp="@1700000001")
    told = machine.told(record)
    assert [one[:4] for one in told] == [
        ("file", "/srv/page", "gone", ""),
        ("group", "anna", "gone", ""),
        ("group", "bob", "new", ""),
        ("group", "sudo", "changed", "members"),
        ("unit", "cron.service", "changed", "enabled"),
        ("unit", "ssh.service", "changed", "active"),
    ]
    record = machine_state.adopt(record, machine.take(record), "2026-02-01T00:00:00Z", time.time() + 1)
    assert machine.told(record) == told


def test_what_a_tree_gave_up_or_brought_is_no_drift(machine):
    record = machine.record()
    (machine.root / "srv/page").unlink()
    machine.write("/etc/systemd/system/a.service.d/x.conf", "[Service]\n")
    machine.own("/etc/demo/secret", "/etc/systemd/system/a.service.d/x.conf")
    record = machine_state.adopt(record, machine.take(record), "2026-02-01T00:00:00Z", time.time() + 1)
    assert machine.told(record) == [] and not record.kept
    machine.own()
    record = machine_state.adopt(record, machine.take(record), "2026-02-02T00:00:00Z", NEVER)
    machine.write("/etc/demo/secret", "is nobody's by now\n")
    assert machine.told(record) == []


def test_the_record_is_whole_and_only_for_its_owner(machine, tmp_path):
    path = tmp_path / "state" / "machine.json"
    assert machine_state_record.load(str(path)) is None
    record = machine_state.adopt(machine.record(), machine.take(), "2026-02-01T00:00:00Z", NEVER)
    (machine.root / "etc/sudoers").chmod(0o666)
    record = machine_state.adopt(record, machine.take(record), "2026-02-01T00:00:00Z", time.time() + 1)
    machine_state_record.save(str(path), record)
    assert machine_state_record.load(str(path)) == record and record.kept
    assert path.stat().st_mode & 0o777 == 0o600 and [*path.parent.iterdir()] == [path]
    for wrong in ("{", "[]", '{"version": 0}', '{"version": 1}'):
        path.write_text(wrong)
        with pytest.raises(machine_state_record.Damaged, match="is no record of this machine's state"):
            machine_state_record.load(str(path))


def test_patterns_leave_out_what_they_name():
    ignored = drift_ignored(
        ["package tcpdump", "file /etc/nginx/* mode", "vpc_subnet a*"], {*MACHINE_KINDS, "vpc_subnet"}
    )
    rows = [
        ("package", "tcpdump", "", True),
        ("package", "tcpdump2", "", False),
        ("unit", "tcpdump", "", False),
        ("file", "/etc/nginx/conf.d/a.conf", "mode", True),
        ("file", "/etc/nginx/conf.d/a.conf", "content", False),
        ("vpc_subnet", "app", "cidr", True),
    ]
    for kind, name, field, left_out in rows:
        assert ignored({"kind": kind, "name": name, "field": field}) is left_out, name


def test_all_wrong_patterns_are_named_at_once():
    with pytest.raises(ValueError, match="'packages a', 'file', 'file a b c': a pattern is .* file, group, package"):
        drift_ignored(["packages a", "file", "unit x", "file a b c"], MACHINE_KINDS)
