"""Numbers of the system calls that the filter names, as `name/x86_64/aarch64` (`-`: not on this processor).

Source: Linux 6.1, arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h; the numbers
    never
change.
"""

import platform

ALLOWED = """
read/0/63  write/1/64  open/2/-  openat/257/56  close/3/57  stat/4/-  fstat/5/80  lstat/6/-
newfstatat/262/79  statx/332/291  poll/7/-  ppoll/271/73  select/23/-  pselect6/270/72  epoll_create/213/-
epoll_create1/291/20  epoll_ctl/233/21  epoll_wait/232/-  epoll_pwait/281/22  lseek/8/62  mmap/9/222
mprotect/10/226  munmap/11/215  mremap/25/216  madvise/28/233  mincore/27/232  brk/12/214
rt_sigaction/13/134  rt_sigprocmask/14/135  rt_sigreturn/15/139  rt_sigpending/127/136
rt_sigtimedwait/128/137  rt_sigsuspend/130/133  sigaltstack/131/132  pread64/17/67
pwrite64/18/68  readv/19/65  writev/20/66  preadv/295/69  pwritev/296/70  access/21/-  faccessat/269/48
faccessat2/439/439  pipe/22/-  pipe2/293/59  dup/32/23  dup2/33/-  dup3/292/24  nanosleep/35/101
clock_nanosleep/230/115  getitimer/36/102  setitimer/38/103  alarm/37/-  pause/34/-  getpid/39/172
getppid/110/173  gettid/186/178  getuid/102/174  geteuid/107/175  getgid/104/176  getegid/108/177
getresuid/118/148  getresgid/120/150  getgroups/115/158  getpgrp/111/-  getpgid/121/155  getsid/124/156
uname/63/160  flock/73/32  fsync/74/82  fdatasync/75/83  truncate/76/45  ftruncate/77/46
getdents64/217/61  getdents/78/-  getcwd/79/17  chdir/80/49  fchdir/81/50  rename/82/-  renameat/264/38
renameat2/316/276  mkdir/83/-  mkdirat/258/34  rmdir/84/-  unlink/87/-  unlinkat/263/35  symlink/88/-
symlinkat/266/36  link/86/-  linkat/265/37  readlink/89/-  readlinkat/267/78  chmod/90/-  fchmod/91/52
fchmodat/268/53  utimensat/280/88  umask/95/166  gettimeofday/96/169  getrlimit/97/163
getrusage/98/165  sysinfo/99/179  times/100/153  statfs/137/43  fstatfs/138/44  futex/202/98
set_robust_list/273/99  get_robust_list/274/100  rseq/334/293  set_tid_address/218/96  sched_yield/24/124
sched_getaffinity/204/123  clock_gettime/228/113  clock_getres/229/114  time/201/-  exit/60/93
exit_group/231/94  wait4/61/260  waitid/247/95  getrandom/318/278  membarrier/324/283  eventfd2/290/19
copy_file_range/326/285  sendfile/40/71  fadvise64/221/223  fallocate/285/47  sendto/44/206
recvfrom/45/207  sendmsg/46/211  recvmsg/47/212  shutdown/48/210  getsockopt/55/209  setsockopt/54/208
getsockname/51/204  getpeername/52/205  restart_syscall/219/128  getcpu/309/168  close_range/436/436
"""
"""Calls that Python and numpy need to compute, to use the files that other layers allow, and for threads."""

FATAL = """
ptrace/101/117  process_vm_readv/310/270  process_vm_writev/311/271  mount/165/40  umount2/166/39
pivot_root/155/41  chroot/161/51  setns/308/268  unshare/272/97  bpf/321/280  keyctl/250/219
add_key/248/217  request_key/249/218  perf_event_open/298/241  io_uring_setup/425/425
io_uring_enter/426/426  io_uring_register/427/427  init_module/175/105  finit_module/313/273
delete_module/176/106  kexec_load/246/104  kexec_file_load/320/294  reboot/169/142  swapon/167/224
swapoff/168/225  open_by_handle_at/304/265  name_to_handle_at/303/264  userfaultfd/323/282  acct/163/89
settimeofday/164/170  clock_settime/227/112  adjtimex/159/171  clock_adjtime/305/266  iopl/172/-
ioperm/173/-  quotactl/179/60  syslog/103/116  sethostname/170/161  setdomainname/171/162
pidfd_getfd/438/438  process_madvise/440/440  move_mount/429/429  fsopen/430/430  fsconfig/431/431
fsmount/432/432  fspick/433/433  open_tree/428/428  mount_setattr/442/442
"""
"""Calls that only an attack needs: the program is killed, and its outcome is a violation."""

CHECKED_SYSCALLS = """
prlimit64/302/261  fcntl/72/25  ioctl/16/29  clone/56/220  clone3/435/435  socketpair/53/199  kill/62/129
tgkill/234/131
"""
"""Calls that are allowed only with some arguments."""

_COLUMN = {"x86_64": 1, "aarch64": 2}


def numbers(table: str) -> dict[str, int]:
    """Numbers by name on this processor; KeyError if it is neither x86_64 nor aarch64."""
    column = _COLUMN[platform.machine()]
    entries = [entry.split("/") for entry in table.split()]
    return {entry[0]: int(entry[column]) for entry in entries if entry[column] != "-"}
