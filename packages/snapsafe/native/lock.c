/* An exclusive lock that goes with its holder, however that ends. See flock(2). */
#include "addon.h"

#include <sys/file.h>

napi_value snap_try_lock(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  int fd;
  if (!snap_arguments(env, info, 1, argv) || !snap_take_fd(env, argv[0], "tryLock", &fd)) return NULL;
  int result;
  do result = flock(fd, LOCK_EX | LOCK_NB);
  while (result != 0 && errno == EINTR);
  if (result != 0 && errno != EWOULDBLOCK) return snap_throw_errno(env, errno, "flock");
  return snap_boolean(env, result == 0);
}
