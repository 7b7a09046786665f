"""Which system calls a guest may make: the lists, and the reason for each refusal.

1. Allowed is what is named in `ALLOWED`. A name in no list is ENOSYS: C libraries and language
   runtimes fall back from that, and tomorrow's calls are closed until somebody has read them.
2. Refused by name is EPERM, so that a program hears "no" where "not there" would send it looking.
3. A call whose arguments lie in memory cannot be checked: `clone3` and `openat2` are ENOSYS, and
   everybody falls back to `clone` and `openat`, which can.
"""

from __future__ import annotations

__all__ = [
    "ALLOWED",
    "ATTRIBUTES",
    "FCNTL_REFUSED",
    "FEIGNED",
    "FILE_MODES",
    "HOST_IPC",
    "HUGE_PAGES",
    "IOCTL_REFUSED",
    "KEEP_SESSION",
    "NAMESPACES_OF_A_PROCESS",
    "OF_INTERFACES",
    "ONLY_ONESELF",
    "ONLY_OWN_PRIORITY",
    "PATH_ATTRIBUTES",
    "REFUSED",
    "SOCKET_CALLS",
    "WATCHING",
]

# moby's unconditional set, less: asynchronous I/O (io_*: kernel surface that Python does not use),
# calls of other architectures, and what is refused below
_ALLOWED = """
accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown
clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2
dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2
execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat
fchmodat2 fchown fchownat fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat
get_mempolicy get_robust_list getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups
getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid
getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioprio_get ioprio_set kill
landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat
listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack mbind
membarrier memfd_create mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect
mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget
msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat pause pidfd_open
pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll pread64 preadv preadv2
prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom
recvmmsg recvmsg removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr
sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop
sendfile sendmmsg sendmsg sendto set_mempolicy set_robust_list set_tid_address setfsgid setfsuid
setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit
setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4
splice stat statfs statx symlink symlinkat sync_file_range sysinfo tee tgkill time timer_create
timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime
timerfd_settime times tkill truncate umask uname unlink unlinkat uretprobe utime utimensat utimes
vfork vmsplice wait4 waitid write writev
"""
ALLOWED = _ALLOWED.split()

_REFUSED = """
ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd
bpf perf_event_open userfaultfd lookup_dcookie memfd_secret modify_ldt iopl ioperm
io_uring_setup io_uring_enter io_uring_register
keyctl add_key request_key
open_by_handle_at name_to_handle_at
mount umount2 pivot_root chroot mount_setattr fsopen fsconfig fsmount fspick open_tree
open_tree_attr move_mount statmount listmount unshare setns sethostname setdomainname
swapon swapoff reboot kexec_load kexec_file_load init_module finit_module delete_module acct
settimeofday clock_settime clock_adjtime adjtimex syslog quotactl quotactl_fd nfsservctl vhangup
fanotify_init fanotify_mark migrate_pages move_pages lsm_set_self_attr ustat sysfs uselib _sysctl
sync syncfs
"""
REFUSED = _REFUSED.split()
"""By line: looking into siblings; interpreters and side doors inside the kernel; io_uring, which
opens sockets past this filter; keyrings, which no namespace separates; file handles, which walk
out of a root (Shocker); the mounts; the machine itself; watching and flushing for everybody."""

FILE_MODES = {
    "chmod": 1,
    "fchmod": 1,
    "fchmodat": 2,
    "fchmodat2": 2,
    "creat": 1,
    "mkdir": 1,
    "mkdirat": 2,
    "mknod": 1,
    "mknodat": 2,
}
"""Which argument is a mode: one with a set-id bit is refused. In a folder that the host sees too,
such a file would be a program of the run's user for everybody."""

IOCTL_REFUSED = {
    "TIOCSTI": 0x5412,  # types into the terminal of whoever started us: CVE-2017-5226
    "TIOCLINUX": 0x541C,  # the same through the console's clipboard
    "TIOCSETD": 0x5423,  # loads line disciplines
    "TIOCCONS": 0x541D,
    "FIOSETOWN": 0x8901,  # see F_SETOWN
    "SIOCSPGRP": 0x8902,
    "FS_IOC_SETFLAGS": 0x40086602,  # attributes of files that we may only read
    "FS_IOC_FSSETXATTR": 0x401C5820,
    "FS_IOC_ENABLE_VERITY": 0x40806685,
    "FS_IOC_SET_ENCRYPTION_POLICY": 0x800C6613,
}

NAMESPACES_OF_A_PROCESS = 0xFF00
"""From here 16 commands: another's namespaces, by a descriptor of the process. The kernel gives one
of whoever made a socket to whoever holds the other end."""

OF_INTERFACES = (0x8900, 0x8B00)
"""From each 256 commands: any socket, even a pair of no family, tells by them the addresses of the
network that it was made in."""

FCNTL_REFUSED = {
    "F_SETLEASE": 1024,  # makes another's open() wait
    "F_NOTIFY": 1026,
    "F_SETOWN": 8,  # a signal of the kernel's to any process of the user
    "F_SETSIG": 10,
    "F_SETOWN_EX": 15,
}

_HOST_IPC = """
shmget shmat shmctl shmdt msgget msgsnd msgrcv msgctl semget semop semtimedop semctl
mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
"""
HOST_IPC = _HOST_IPC.split()
"""Without an ipc namespace these are the host's."""

_ATTRIBUTES = """
chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat utimensat
setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
"""
ATTRIBUTES = _ATTRIBUTES.split()
"""What Landlock does not see. Refused where the run has the host user's own id: it could otherwise
open that user's private files to everybody, or lock the user out, by path."""

FEIGNED = [name for name in ATTRIBUTES if "xattr" not in name]
"""Of these, what ordinary build tools cannot do without and lose nothing by: a command is told that
its files have the mode, owner and times that it asked for. Whoever copies extended attributes copes
with a refusal."""

WATCHING = ["inotify_init", "inotify_init1", "inotify_add_watch"]
"""Refused without namespaces: it tells the names in any folder that the user can read, and the user
has few of them for all of its programs."""

PATH_ATTRIBUTES = ["getxattr", "lgetxattr", "listxattr", "llistxattr"]
"""Not supported without namespaces: they read extended attributes by path, past Landlock."""

ONLY_ONESELF = {
    **dict.fromkeys(["prlimit64", "sched_setaffinity", "sched_setscheduler"], 0),
    **dict.fromkeys(["sched_setparam", "sched_setattr"], 0),
}
"""Which argument is a process: without namespaces it is 0, oneself. The host, a process of the same
user, could be stopped by its limits."""

ONLY_OWN_PRIORITY = {"setpriority": 0, "ioprio_set": 1}
"""Which first argument says that the second is a process; the second is 0, oneself."""

SOCKET_CALLS = ["connect", "bind", "listen", "accept", "accept4"]
"""Refused where no socket can be had: a path socket's address is what Landlock does not see."""

HUGE_PAGES = {"mmap": (3, 0x40000), "memfd_create": (1, 0x4), "shmget": (2, 0o4000)}
"""Which argument's bit asks for huge pages: the machine keeps a few for its own programs, and no
group's memory counts them."""

KEEP_SESSION = ["setsid", "setpgid"]
"""Refused to a step whose process group is what it is killed by."""
