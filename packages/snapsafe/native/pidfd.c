/*
 * Processes by descriptor: what a pid cannot promise, because it is given to another process one day. See pidfd_open(2),
 * pidfd_send_signal(2) and pidfd_getfd(2). The kernel makes all of these descriptors close-on-exec.
 */
#define _GNU_SOURCE
#include "addon.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* include/uapi/asm-generic/socket.h, Linux 6.5 */
#endif
/* The same on all architectures that Node runs on; C libraries got them late. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

#define MAX_SIGNAL 64u /* _NSIG of the kernel */

napi_value snap_peer_pidfd(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  int fd, pidfd = -1;
  socklen_t length = sizeof pidfd;
  if (!snap_arguments(env, info, 1, argv) || !snap_take_fd(env, argv[0], "peerPidfd", &fd)) return NULL;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0) return snap_number(env, pidfd);
  if (errno == ENOPROTOOPT) return snap_undefined(env);
  /* ENODATA: nobody is at the other end, for which peerCredentials has another name. */
  return snap_throw_errno(env, errno == ENODATA ? ENOTCONN : errno, "getsockopt");
}

napi_value snap_pidfd_open(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  uint32_t pid;
  if (!snap_arguments(env, info, 1, argv) ||
      !snap_take_u32(env, argv[0], "pidfdOpen", "a process id", &pid))
    return NULL;
  if (pid == 0 || pid > INT_MAX) return snap_throw_range(env, "pidfdOpen", "a process id");
  long pidfd = syscall(SYS_pidfd_open, (pid_t)pid, 0u);
  return pidfd < 0 ? snap_throw_errno(env, errno, "pidfd_open") : snap_number(env, (double)pidfd);
}

napi_value snap_pidfd_send_signal(napi_env env, napi_callback_info info) {
  static const char function[] = "pidfdSendSignal";
  napi_value argv[2];
  int pidfd;
  uint32_t signal;
  if (!snap_arguments(env, info, 2, argv) || !snap_take_fd(env, argv[0], function, &pidfd) ||
      !snap_take_u32(env, argv[1], function, "the number of a signal", &signal))
    return NULL;
  if (signal > MAX_SIGNAL) return snap_throw_range(env, function, "the number of a signal");
  long result = syscall(SYS_pidfd_send_signal, pidfd, (int)signal, NULL, 0u);
  return result < 0 ? snap_throw_errno(env, errno, "pidfd_send_signal") : snap_undefined(env);
}

napi_value snap_pidfd_get_fd(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int pidfd, target;
  if (!snap_arguments(env, info, 2, argv) || !snap_take_fd(env, argv[0], "pidfdGetFd", &pidfd) ||
      !snap_take_fd(env, argv[1], "pidfdGetFd", &target))
    return NULL;
  long fd = syscall(SYS_pidfd_getfd, pidfd, target, 0u);
  return fd < 0 ? snap_throw_errno(env, errno, "pidfd_getfd") : snap_number(env, (double)fd);
}
