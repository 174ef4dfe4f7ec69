//! Event logs of 800 Windows hosts, as winlogbeat sends them.
//! <https://www.elastic.co/docs/reference/beats/winlogbeat/exported-fields-winlog>

use serde_json::{Value, json};

use super::{Life, MINUTE, SECOND, iso};

const SYSMON: &str = "Microsoft-Windows-Sysmon";
const SECURITY: &str = "Microsoft-Windows-Security-Auditing";
const POWERSHELL: &str = "Microsoft-Windows-PowerShell";

fn tell(
    life: &mut Life<'_>,
    time: i64,
    host: &str,
    (provider, channel, code): (&str, &str, u32),
    user: &str,
    data: Value,
) {
    let source = match provider {
        SYSMON => "windows-sysmon",
        SECURITY => "windows-security",
        _ => "windows-powershell",
    };
    let record = json!({
        "@timestamp": iso(time),
        "agent": {"type": "winlogbeat", "version": "8.15.0"},
        "ecs": {"version": "8.0.0"},
        "event": {"code": code.to_string(), "kind": "event", "provider": provider},
        "host": {"name": host, "os": {"type": "windows"}},
        "log": {"level": "information"},
        "winlog": {
            "api": "wineventlog",
            "channel": channel,
            "computer_name": format!("{host}.corp.example"),
            "event_id": code.to_string(),
            "provider_name": provider,
            "record_id": 1000 + life.records.len(),
            "process": {"pid": 3000, "thread": {"id": 3100}},
            "user": {"name": user, "domain": "CORP", "identifier": "S-1-5-21-1-2-3-1001", "type": "User"},
            "event_data": data,
        },
    });
    life.tell(time, source, record);
}

/// A program is started: what Sysmon says, and what the security log says.
fn start(life: &mut Life<'_>, time: i64, host: &str, user: &str, program: &str, line: &str, parent: &str) {
    let (pid, guid) = (1000 + life.random.below(30_000), life.uuid().to_uppercase());
    let name = program.rsplit('\\').next().unwrap_or(program).to_owned();
    let data = json!({
        "RuleName": "-",
        "UtcTime": iso(time).replace('T', " ").trim_end_matches('Z'),
        "ProcessGuid": format!("{{{guid}}}"),
        "ProcessId": pid.to_string(),
        "Image": program,
        "FileVersion": "10.0",
        "OriginalFileName": name,
        "CommandLine": line,
        "CurrentDirectory": "C:\\Windows\\system32\\",
        "User": format!("CORP\\{user}"),
        "LogonId": "0x3e7",
        "IntegrityLevel": "Medium",
        "ParentProcessGuid": format!("{{{}}}", Life::uuid_of(parent).to_uppercase()),
        "ParentProcessId": "900",
        "ParentImage": parent,
        "ParentCommandLine": parent,
    });
    tell(
        life,
        time,
        host,
        (SYSMON, "Microsoft-Windows-Sysmon/Operational", 1),
        user,
        data,
    );
    let data = json!({
        "SubjectUserSid": "S-1-5-21-1-2-3-1001",
        "SubjectUserName": user,
        "SubjectDomainName": "CORP",
        "SubjectLogonId": "0x3e7",
        "NewProcessId": format!("0x{pid:x}"),
        "NewProcessName": program,
        "TokenElevationType": "%%1938",
        "ProcessId": "0x384",
        "CommandLine": line,
        "ParentProcessName": parent,
    });
    tell(life, time, host, (SECURITY, "Security", 4688), user, data);
}

fn script(life: &mut Life<'_>, time: i64, host: &str, user: &str, text: &str) {
    let data = json!({"MessageNumber": "1", "MessageTotal": "1", "ScriptBlockText": text, "ScriptBlockId": life.uuid(), "Path": ""});
    tell(
        life,
        time,
        host,
        (POWERSHELL, "Microsoft-Windows-PowerShell/Operational", 4104),
        user,
        data,
    );
}

fn connect(life: &mut Life<'_>, time: i64, host: &str, user: &str, program: &str, address: &str) {
    let data = json!({
        "RuleName": "-",
        "UtcTime": iso(time).replace('T', " ").trim_end_matches('Z'),
        "ProcessGuid": format!("{{{}}}", Life::uuid_of(&format!("{host}{program}")).to_uppercase()),
        "ProcessId": "2044",
        "Image": program,
        "User": user,
        "Protocol": "tcp",
        "Initiated": "true",
        "SourceIsIpv6": "false",
        "SourceIp": "10.9.0.7",
        "SourcePort": "50123",
        "DestinationIsIpv6": "false",
        "DestinationIp": address,
        "DestinationPort": "80",
    });
    tell(
        life,
        time,
        host,
        (SYSMON, "Microsoft-Windows-Sysmon/Operational", 3),
        user,
        data,
    );
}

const EXPLORER: &str = "C:\\Windows\\explorer.exe";
const SERVICES: &str = "C:\\Windows\\System32\\services.exe";
const SHELL: &str = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe";

pub(super) fn live(life: &mut Life<'_>) {
    offices(life);
    servers(life);
    administrators(life);
}

fn offices(life: &mut Life<'_>) {
    let company = life.company;
    for (number, person) in company.staff.iter().enumerate() {
        if number % usize::try_from(life.sampled.min(20)).unwrap_or(1) != 0 {
            continue;
        }
        let host = format!("PC-{number:04}");
        for (program, line) in [
            (
                "C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE",
                "\"C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE\"",
            ),
            (
                "C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe",
                "\"msedge.exe\" --type=renderer",
            ),
            (
                "C:\\Windows\\System32\\cmd.exe",
                "cmd.exe /c whoami /groups > %TEMP%\\logon.txt",
            ),
        ] {
            let time = life.at_work();
            start(life, time, &host, &person.name, program, line, EXPLORER);
        }
    }
    // Developers with Docker on their machines.
    for (number, person) in company
        .engineers
        .iter()
        .enumerate()
        .filter(|(number, _)| number % 4 == 1)
    {
        let host = format!("DEV-{number:02}");
        let program = "C:\\Program Files\\Docker\\Docker\\resources\\bin\\docker.exe";
        for line in [
            "docker  ps",
            "docker  compose up -d",
            "docker  build -t shop:dev .",
        ] {
            let time = life.at_work();
            start(
                life,
                time,
                &host,
                &person.name,
                program,
                line,
                "C:\\Windows\\System32\\cmd.exe",
            );
        }
        let time = life.at_work();
        script(
            life,
            time,
            &host,
            &person.name,
            "git status | Out-Null; npm run build",
        );
        start(
            life,
            time + MINUTE,
            &host,
            &person.name,
            "C:\\Program Files\\Amazon\\AWSCLIV2\\aws.exe",
            "aws sso login",
            "C:\\Windows\\System32\\cmd.exe",
        );
    }
}

fn servers(life: &mut Life<'_>) {
    for number in 0..life.often(400).max(30) {
        let host = format!("SRV-{number:03}");
        let time = life.any_time();
        // Agents of the clouds.
        let (program, name) = match number % 3 {
            0 => (
                "C:\\Program Files\\Amazon\\SSM\\amazon-ssm-agent.exe",
                "amazon-ssm-agent.exe",
            ),
            1 => (
                "C:\\WindowsAzure\\GuestAgent_2.7.41491.1121\\WindowsAzureGuestAgent.exe",
                "WindowsAzureGuestAgent.exe",
            ),
            _ => (
                "C:\\Program Files\\Google\\Compute Engine\\agent\\GCEWindowsAgent.exe",
                "GCEWindowsAgent.exe",
            ),
        };
        start(life, time, &host, "SYSTEM", program, name, SERVICES);
        connect(
            life,
            time + SECOND,
            &host,
            "NT AUTHORITY\\SYSTEM",
            program,
            "169.254.169.254",
        );
        if number % 3 == 0 {
            let line = "powershell.exe -NoProfile -ExecutionPolicy Unrestricted -File \"C:\\ProgramData\\Amazon\\EC2Launch\\UserScript.ps1\"";
            start(
                life,
                time + MINUTE,
                &host,
                "SYSTEM",
                SHELL,
                line,
                "C:\\Program Files\\Amazon\\EC2Launch\\EC2Launch.exe",
            );
        }
        for _ in 0..2 {
            let time = life.any_time();
            script(
                life,
                time,
                &host,
                "svc-monitor",
                "Get-CimInstance Win32_LogicalDisk | Select DeviceID, FreeSpace | ConvertTo-Json",
            );
        }
    }
}

/// Those who keep the directory: licences, mailboxes, reports.
fn administrators(life: &mut Life<'_>) {
    // The report of licences, each night, by an account of its own.
    let time = life.at_hour(2);
    script(
        life,
        time,
        "SRV-JOBS",
        "svc-licenses",
        "Connect-MsolService -Credential $cred\nGet-MsolUser -All | Where-Object { $_.isLicensed } | Select UserPrincipalName, Licenses | Export-Csv D:\\reports\\licenses.csv",
    );
    start(
        life,
        time,
        "SRV-JOBS",
        "svc-licenses",
        SHELL,
        "powershell.exe -NoProfile -File D:\\jobs\\licenses.ps1",
        "C:\\Windows\\System32\\svchost.exe",
    );
    let time = life.at_hour(3);
    script(
        life,
        time,
        "SRV-SYNC",
        "svc-adsync",
        "Import-Module ADSync; Start-ADSyncSyncCycle -PolicyType Delta",
    );
    let company = life.company;
    for (number, person) in company.administrators.iter().enumerate() {
        let host = format!("ADM-{number:02}");
        let texts: &[&str] = match number {
            0 => &[
                "Connect-MsolService",
                "Get-MsolUser -UserPrincipalName anna.keller@corp.example | Set-MsolUserLicense -AddLicenses corp:ENTERPRISEPACK",
            ],
            1 => &[
                "Connect-MgGraph -Scopes User.ReadWrite.All",
                "Get-MgUser -UserId anna.keller@corp.example",
                "Update-MgUser -UserId anna.keller@corp.example -Department Sales",
            ],
            2 => &[
                "Get-ADUser -Filter * -SearchBase 'OU=Sales,DC=corp,DC=example' -Properties mail, title",
                "Get-ADGroupMember 'Domain Admins'",
            ],
            3 => &[
                "Connect-ExchangeOnline",
                "Get-Mailbox -ResultSize Unlimited | Get-MailboxStatistics",
            ],
            4 => &[
                "Connect-AzAccount",
                "Get-AzVM -Status | Format-Table",
                "Get-AzSnapshot",
            ],
            5 => &["Get-AzureADUser -All $true | Where { $_.AccountEnabled -eq $false } | Measure"],
            _ => &[
                "Get-Service | Where Status -eq Stopped",
                "Invoke-Command -ComputerName SRV-001 { Restart-Service spooler }",
            ],
        };
        let time = life.at_work();
        for (pause, text) in (0..).zip(texts) {
            script(life, time + pause * 3 * MINUTE, &host, &person.name, text);
        }
        start(
            life,
            time - SECOND,
            &host,
            &person.name,
            SHELL,
            "\"powershell.exe\" -NoExit",
            EXPLORER,
        );
    }
}
