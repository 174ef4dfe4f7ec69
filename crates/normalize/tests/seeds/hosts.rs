//! Records of hosts: of the audit log, of system logs, of Windows and of Sysmon for Linux.

use serde_json::{Value, json};

/// One whole record of each kind.
pub(crate) fn seeds() -> Vec<Value> {
    vec![
        json!(
            "type=SYSCALL msg=audit(1500000000.007:42): arch=c000003e syscall=59 success=no exit=-13 a0=1 items=2 ppid=1 pid=2 auid=4294967295 uid=0 ses=3 comm=\"sh\" exe=2F62696E2F7368 subj=a:b:c:d:e key=65786563\u{1d}ARCH=x86_64 SYSCALL=execve AUID=\"unset\" UID=\"root\"\ntype=EXECVE msg=audit(1500000000.007:42): argc=3 a0=\"sh\" a1[0]=2D63 a1[1]=78 a2_len=5\ntype=CWD msg=audit(1500000000.007:42): cwd=\"/tmp\"\nnode=n type=PATH msg=audit(1500000000.007:42): item=0 name=\"x\" inode=1 dev=08:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 obj=u:r:t nametype=NORMAL\ntype=SOCKADDR msg=audit(1500000000.007:42): saddr=0A00DE99000000002A02CF40000000000000000000000000\ntype=PROCTITLE msg=audit(1500000000.007:42): proctitle=7368002D63\ntype=EOE msg=audit(1500000000.007:42):"
        ),
        json!(
            "type=USER_LOGIN msg=audit(1500000000.007:43): pid=1 uid=0 auid=1 ses=2 msg='op=login acct=28696E76 exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.1 terminal=ssh res=failed'"
        ),
        json!(
            "<5>[1.5] audit: type=1400 audit(1500000000.007:44): avc:  denied  { read write } for  pid=1 comm=\"x\" scontext=a tcontext=b tclass=c"
        ),
        json!(
            "type=LOGIN msg=audit(1500000000.007:45): login pid=1 uid=0 old auid=2 new auid=3 old ses=4 new ses=5"
        ),
        json!({"ID": "1500000000.007:42", "NODE": "n", "SYSCALL": {"arch": "0xc000003e", "syscall": 59, "success": "yes", "exit": 0, "ppid": 1, "pid": 2, "comm": "sh", "exe": "/bin/sh", "ARGV": ["0x1", "0x2"], "SYSCALL": "execve", "UID": "root", "PPID": {"comm": "init", "exe": "/sbin/init"}},
            "EXECVE": {"argc": 2, "ARGV": ["sh", "-c%20x%zz"]}, "CWD": {"cwd": "/"}, "PATH": [{"item": 0, "name": "/bin/sh", "mode": "0o100755"}], "PROCTITLE": {"ARGV": ["sh"]},
            "SOCKADDR": [{"SADDR": {"family": "inet", "addr": "192.0.2.1", "port": 80}}], "PARENT_INFO": {"ARGV": ["init"], "comm": "init"}, "CONTAINER_INFO": {"ID": "abc"}}),
        json!(
            "Feb 29 21:19:40 web-1 sshd[7]: Failed password for invalid user a b from 192.0.2.1 port 5 ssh2: x"
        ),
        json!(
            "<85>1 2023-10-06T09:45:15.651562+02:00 h sudo 1 ID [x a=\"b\\\"]\"] alice : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls"
        ),
        json!("Dec 31 23:59:60 h su: pam_unix(su:session): session opened for user root(uid=0) by (uid=0)"),
        json!({"event": {"timezone": "GMT-0200"}, "log": {"syslog": {"appname": "useradd", "hostname": "h"}}, "message": "new user: name=a, UID=1, GID=2, home=/a, shell=/b"}),
        json!(
            "Oct 24 17:06:14 h sysmon: <Event><System><Provider Name=\"Linux-Sysmon\"/><EventID>1</EventID><Version>5</Version><Channel>Linux-Sysmon/Operational</Channel><Security UserId=\"0\"/></System><EventData><Data Name=\"Image\">/bin/ls</Data><Data Name=\"CommandLine\">ls \\\"a</Data><Data Name=\"User\">root</Data></EventData></Event>"
        ),
        json!({"Event": {"System": {"Provider": {"#attributes": {"Name": "Microsoft-Windows-Security-Auditing"}}, "EventID": {"#text": 4624}, "Level": 0, "Keywords": "0x8020000000000000", "Channel": "Security"}, "EventData": {"LogonType": 3, "Data": {"#text": ["a", 1]}}, "UserData": {"X": {"#attributes": {}, "y": 1}}}}),
    ]
}

/// Records that are large in one way or another.
pub(crate) fn large() -> Vec<Value> {
    let mut records = Vec::new();
    let arguments: String = (0..60_000)
        .map(|number| format!(" a{number}=\"argument {number}\""))
        .collect();
    let keys: String = (0..60_000)
        .map(|number| format!(" k{number}=v{number}"))
        .collect();
    let stamp = "msg=audit(1500000000.007:42):";
    records.push(json!(format!(
        "type=SYSCALL {stamp} arch=c000003e syscall=59{keys} pid=1\ntype=EXECVE {stamp} argc=60000{arguments}"
    )));
    let paths: String = (0..20_000)
        .map(|number| format!("\ntype=PATH {stamp} item={number} name=\"/a/{number}\""))
        .collect();
    records.push(json!(format!(
        "type=SYSCALL {stamp} arch=c000003e syscall=87{paths}"
    )));
    records.push(json!(format!(
        "Feb  9 21:19:40 h sshd[7]: {}",
        "for user a by b ".repeat(70_000)
    )));
    records.push(json!(format!(
        "<13>1 - h a - - [{}] m",
        "a=\"b\" ".repeat(180_000)
    )));
    records
}
