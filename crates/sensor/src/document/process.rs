//! What documents tell of processes: who they are, who they descend from, and as whom they run.

use super::Writer;
use super::relatives::{Role, Written};
use super::shapes::{
    Device, EntryMeta, GroupFields, Previous, ProcessFields, Thread, ThreadCapabilities, Tty, UserFields,
};
use super::text::{Args, Capabilities, CommandLine, Number, Stamp, Text, moment};
use crate::event::{Event, What};
use crate::observation::Context;
use crate::process::{EntryKind, Kin, Program};

/// Bytes of arguments that are told of a parent, and of leaders.
const ARGS_OF_PARENT: usize = 4 << 10;
const ARGS_OF_LEADER: usize = 1 << 10;

impl Writer {
    pub(super) fn process<'a>(&'a self, event: &'a Event, context: &Context) -> ProcessFields<'a> {
        let process = &event.process;
        let own = &process.own;
        let contained = own.container.is_some();
        let mut fields = self.kin(own, usize::MAX);
        (fields.user, fields.group) = self.effective(context, contained);
        fields.real_user = context.uid.map(|id| self.user(id, contained));
        fields.real_group = context.gid.map(|id| self.group(id, contained));
        fields.tty = tty(context);
        fields.vpid = context.inner_pid;
        let thread = match &event.what {
            What::Connect(connect) | What::Outcome(connect) if !connect.thread.is_empty() => {
                Some(Text(&connect.thread))
            }
            _ => None,
        };
        let capabilities = ThreadCapabilities {
            effective: context.capabilities_effective.map(Capabilities),
            permitted: context.capabilities_permitted.map(Capabilities),
        };
        let known = capabilities.effective.is_some() || capabilities.permitted.is_some();
        fields.thread = (known || thread.is_some()).then_some(Thread {
            name: thread,
            capabilities: known.then_some(capabilities),
        });
        if let What::End { status } = event.what {
            // As shells tell it: 128 and the signal, or what the program returned.
            let signal = status & 0x7f;
            fields.exit_code = Some(if signal == 0 {
                status >> 8 & 0xff
            } else {
                128 + signal
            });
            fields.end = Some(Stamp(self.wall.of(event.at)));
        }
        if event.what_starts() {
            fields.previous = process.previous.as_ref().map(|program| {
                [Previous {
                    executable: Text(program.path()),
                    args: program.args.as_deref().map(|args| Args {
                        args,
                        most: ARGS_OF_LEADER,
                    }),
                    args_count: args_count(program),
                }]
            });
        }
        let parent = process.parent.as_ref();
        fields.parent = parent.and_then(|parent| self.relative(parent, Role::Parent));
        let leader = |kin: &Kin, entry: Option<EntryKind>| {
            let is_itself = kin.id == own.id;
            self.relative(kin, Role::Leader { is_itself, entry })
        };
        let entry = process.entry.as_ref();
        fields.entry_leader = entry.and_then(|entry| leader(&entry.leader, Some(entry.kind)));
        fields.session_leader = event.session.as_ref().and_then(|kin| leader(kin, None));
        fields.group_leader = event.group.as_ref().and_then(|kin| leader(kin, None));
        fields
    }

    fn relative(&self, kin: &Kin, role: Role) -> Option<Written> {
        self.relatives.written(kin, role, || match role {
            Role::Parent => {
                let mut fields = self.kin(kin, ARGS_OF_PARENT);
                let contained = kin.container.is_some();
                (fields.user, fields.group) = self.effective(&kin.context, contained);
                fields.real_user = kin.context.uid.map(|id| self.user(id, contained));
                fields.real_group = kin.context.gid.map(|id| self.group(id, contained));
                fields
            }
            Role::Leader { is_itself, entry } => {
                let mut fields = self.kin(kin, ARGS_OF_LEADER);
                fields.same_as_process = Some(is_itself);
                fields.entry_meta = entry.map(|kind| EntryMeta { kind: kind.name() });
                fields
            }
        })
    }

    fn kin<'a>(&'a self, kin: &'a Kin, most: usize) -> ProcessFields<'a> {
        let program = &kin.program;
        let text = |bytes: &'a [u8]| (!bytes.is_empty()).then_some(Text(bytes));
        let args = program.args.as_deref().map(|args| Args { args, most });
        ProcessFields {
            entity_id: self.entities.of(kin.id),
            pid: kin.id.pid,
            name: text(program.name()),
            executable: text(program.path()),
            args,
            args_count: args_count(program),
            command_line: args.map(CommandLine),
            working_directory: program.cwd.as_deref().map(Text),
            start: moment(kin.start(), self.wall),
            interactive: kin.context.tty.map(|tty| tty != 0),
            ..ProcessFields::default()
        }
    }

    pub(super) fn effective(
        &self,
        context: &Context,
        contained: bool,
    ) -> (Option<UserFields<'_>>, Option<GroupFields<'_>>) {
        let user = context.euid.or(context.uid).map(|id| self.user(id, contained));
        let group = context.egid.or(context.gid).map(|id| self.group(id, contained));
        (user, group)
    }

    /// Names are those of the host; a container has its own, but number 0 is `root` everywhere.
    fn user(&self, id: u32, contained: bool) -> UserFields<'_> {
        UserFields {
            id: Number(id),
            name: self.users.get(id).filter(|_| !contained || id == 0),
        }
    }

    fn group(&self, id: u32, contained: bool) -> GroupFields<'_> {
        GroupFields {
            id: Number(id),
            name: self.groups.get(id).filter(|_| !contained || id == 0),
        }
    }
}

fn tty(context: &Context) -> Option<Tty> {
    let tty = context.tty.filter(|tty| *tty != 0)?;
    Some(Tty {
        char_device: Device {
            major: tty >> 16,
            minor: tty & 0xffff,
        },
    })
}

fn args_count(program: &Program) -> Option<u64> {
    let seen = program
        .args
        .as_ref()
        .map(|args| u64::try_from(args.len()).unwrap_or(u64::MAX));
    program.args_count.or(seen)
}
