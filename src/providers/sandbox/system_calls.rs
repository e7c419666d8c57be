//! The filter of system calls (seccomp): those that no build needs, and through whose code others got out of boxes, are
//! refused. A list of what is refused, as Docker and systemd keep theirs, not of what is allowed: new calls of new libraries go
//! on working. Calls of other architectures, whose numbers mean other things, are refused whole.

use std::collections::BTreeMap;

use libc::{c_int, c_long, c_ulong};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter, sock_filter,
};

/// Refused as to somebody who has not the right to it.
const NOT_PERMITTED: &[c_long] = &[
    // The view of the file system, and what names files around it.
    libc::SYS_chroot,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_umount2,
    // Other processes' memory and files.
    libc::SYS_kcmp,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    // Large parts of the kernel that no build needs.
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_fanotify_init,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_perf_event_open,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    // The machine itself.
    libc::SYS_acct,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
];
/// The same, of those that only this architecture has.
#[cfg(target_arch = "x86_64")]
const NOT_PERMITTED_HERE: &[c_long] = &[
    libc::SYS__sysctl,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_modify_ldt,
    libc::SYS_sysfs,
    libc::SYS_uselib,
    libc::SYS_ustat,
];
#[cfg(not(target_arch = "x86_64"))]
const NOT_PERMITTED_HERE: &[c_long] = &[];
/// Refused as by a kernel that has them not: libraries then use what they used before. The flags of `clone3` are in memory, where
/// no filter sees them.
const NOT_THERE: &[c_long] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];
/// What makes a namespace: further rights over more of the kernel. A new time namespace's flag is another thing to `clone`.
const NAMESPACES: &[c_int] = &[
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];
const NEW_TIME_NAMESPACE: c_int = 0x80;
/// What types into a terminal.
const TERMINAL_REQUESTS: &[c_ulong] = &[libc::TIOCSTI as c_ulong, libc::TIOCLINUX as c_ulong];
/// What a program may ask to be run as: as now, as on 32 bits, on Linux 2.6, without random addresses; the last asks what it is.
const PERSONALITIES: &[u64] = &[0x0, 0x8, 0x2_0000, 0x2_0008, 0x4_0000, 0xffff_ffff];
/// The kinds of sockets that there are. Others are no part of a network namespace (`AF_VSOCK`, which reaches the host of a
/// virtual machine), or seldom used and often broken.
const SOCKETS: &[c_int] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
/// From here on, numbers are of x32: the calls of 64 bits by other numbers.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// Puts the filter before every system call of this thread, and of what it becomes. Says what of this the kernel lacks.
pub(super) fn filter() -> Result<Option<String>, Error> {
    let Ok(architecture) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Ok(Some(
            "no filter of system calls, for this processor: a hole in the kernel is a hole in the box".to_owned(),
        ));
    };
    for program in programs(architecture)? {
        match apply_filter(&program) {
            Ok(()) => {}
            Err(Error::Seccomp(error)) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
                let lacking = "no filter of system calls (seccomp, which this kernel was built without): a hole in the kernel is \
                     a hole in the box";
                return Ok(Some(lacking.to_owned()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// One for each answer: the kernel asks all of them, and refuses where one does.
fn programs(architecture: TargetArch) -> Result<Vec<BpfProgram>, Error> {
    let always = |calls: &[c_long]| calls.iter().map(|call| (*call, Vec::new())).collect::<BTreeMap<_, _>>();
    let mut not_permitted = always(NOT_PERMITTED);
    not_permitted.extend(always(NOT_PERMITTED_HERE));
    not_permitted.insert(libc::SYS_clone, rules(NAMESPACES.iter().map(|flag| vec![has_flag(*flag)]))?);
    let unshared = NAMESPACES.iter().chain([&NEW_TIME_NAMESPACE]);
    not_permitted.insert(libc::SYS_unshare, rules(unshared.map(|flag| vec![has_flag(*flag)]))?);
    let typed = TERMINAL_REQUESTS.iter().map(|request| vec![argument(1, SeccompCmpOp::Eq, *request)]);
    not_permitted.insert(libc::SYS_ioctl, rules(typed)?);
    let unknown = PERSONALITIES.iter().map(|known| argument(0, SeccompCmpOp::Ne, *known)).collect();
    not_permitted.insert(libc::SYS_personality, rules([unknown])?);
    let others = || SOCKETS.iter().map(|kind| argument(0, SeccompCmpOp::Ne, kind.unsigned_abs().into())).collect();
    let no_such_socket =
        BTreeMap::from([(libc::SYS_socket, rules([others()])?), (libc::SYS_socketpair, rules([others()])?)]);
    let answers =
        [(not_permitted, libc::EPERM), (always(NOT_THERE), libc::ENOSYS), (no_such_socket, libc::EAFNOSUPPORT)];
    let program = |(calls, errno): (BTreeMap<i64, Vec<SeccompRule>>, c_int)| {
        let refused = SeccompAction::Errno(errno.unsigned_abs());
        let filter = SeccompFilter::new(calls, SeccompAction::Allow, refused, architecture)?;
        Ok(BpfProgram::try_from(filter)?)
    };
    let programs = answers.into_iter().map(program).chain(x32().map(Ok));
    programs.collect()
}

type Conditions = Vec<Result<SeccompCondition, seccompiler::BackendError>>;

/// Each of these refuses the call, where all of its conditions are so.
fn rules(several: impl IntoIterator<Item = Conditions>) -> Result<Vec<SeccompRule>, Error> {
    let rule = |conditions: Conditions| Ok(SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)?);
    several.into_iter().map(rule).collect()
}

/// The kernel reads 32 bits of all arguments that are looked at here, and so do we: what stands above them must not matter.
fn argument(index: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
}

fn has_flag(flag: c_int) -> Result<SeccompCondition, seccompiler::BackendError> {
    let flag = u64::from(flag.unsigned_abs());
    argument(0, SeccompCmpOp::MaskedEq(flag), flag)
}

/// Refuses every call by a number of x32, as a kernel does that was built without. The other filters know exact numbers only.
#[cfg(target_arch = "x86_64")]
fn x32() -> Option<BpfProgram> {
    let statement = |code: u32, jt, jf, k| sock_filter { code: u16::try_from(code).unwrap_or_default(), jt, jf, k };
    Some(vec![
        // The number of the call is the first of what is looked at.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ])
}

#[cfg(not(target_arch = "x86_64"))]
fn x32() -> Option<BpfProgram> {
    None
}
