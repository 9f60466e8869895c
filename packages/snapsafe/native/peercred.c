/* Who is at the other end of a unix socket, as the kernel recorded it at connect(2). See unix(7), SO_PEERCRED. */
#define _GNU_SOURCE
#include "addon.h"

#include <stdlib.h>
#include <sys/socket.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59 /* include/uapi/asm-generic/socket.h, Linux 4.13 */
#endif

static bool set(napi_env env, napi_value object, const char *name, double number) {
  return napi_set_named_property(env, object, name, snap_number(env, number)) == napi_ok;
}

/* The supplementary groups as an array; NULL with an Error pending. */
static napi_value peer_groups(napi_env env, int fd) {
  napi_value array;
  gid_t *groups = NULL;
  socklen_t length = 0;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) != 0) {
    /* ERANGE says how much room is needed. */
    if (errno != ERANGE) return snap_throw_errno(env, errno, "getsockopt");
    groups = malloc(length);
    if (groups == NULL) return snap_throw_errno(env, ENOMEM, "malloc");
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) != 0) {
      int error = errno;
      free(groups);
      return snap_throw_errno(env, error, "getsockopt");
    }
  }
  bool made = napi_create_array(env, &array) == napi_ok;
  for (uint32_t i = 0; made && i < length / sizeof *groups; i++)
    made = napi_set_element(env, array, i, snap_number(env, groups[i])) == napi_ok;
  free(groups);
  return made ? array : NULL;
}

napi_value snap_peer_credentials(napi_env env, napi_callback_info info) {
  napi_value argv[1], result;
  int fd;
  if (!snap_arguments(env, info, 1, argv) || !snap_take_fd(env, argv[0], "peerCredentials", &fd)) return NULL;
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return snap_throw_errno(env, errno, "getsockopt");
  /* A socket with nobody at the other end, or of another family, has no error but no peer either. */
  if (peer.pid == 0 && peer.uid == (uid_t)-1) return snap_throw_errno(env, ENOTCONN, "getsockopt");
  if (napi_create_object(env, &result) != napi_ok || !set(env, result, "pid", peer.pid) ||
      !set(env, result, "uid", peer.uid) || !set(env, result, "gid", peer.gid))
    return NULL;
  napi_value groups = peer_groups(env, fd);
  if (groups == NULL || napi_set_named_property(env, result, "groups", groups) != napi_ok) return NULL;
  return result;
}
