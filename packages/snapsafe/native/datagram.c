/* One datagram to a unix socket, which Node's dgram does not offer: how a service manager is notified (sd_notify(3)). */
#define _GNU_SOURCE
#include "addon.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

napi_value snap_send_datagram(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  uint8_t *bytes;
  size_t length, path_length;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (!snap_arguments(env, info, 2, argv)) return NULL;
  if (napi_get_value_string_utf8(env, argv[0], address.sun_path, sizeof address.sun_path, &path_length) != napi_ok)
    return snap_throw_type(env, "sendDatagram", "the path of a socket as a string");
  /* Filled to the last byte, the text may have been cut. */
  if (path_length == 0 || path_length + 1 >= sizeof address.sun_path)
    return snap_throw_range(env, "sendDatagram", "a path of 1 to 106 bytes");
  if (!snap_take_bytes(env, argv[1], "sendDatagram", &bytes, &length)) return NULL;
  /* The abstract name space, as service managers write it. */
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  socklen_t address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length);

  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return snap_throw_errno(env, errno, "socket");
  ssize_t sent = sendto(fd, bytes, length, MSG_NOSIGNAL, (struct sockaddr *)&address, address_length);
  int error = errno;
  close(fd);
  return sent < 0 ? snap_throw_errno(env, error, "sendto") : snap_undefined(env);
}
