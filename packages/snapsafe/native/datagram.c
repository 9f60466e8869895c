/*
 * One datagram to a unix socket, which Node's dgram does not offer: how a service manager is notified (sd_notify(3)), and
 * given a descriptor to keep (sd_pid_notify_with_fds(3), FDSTORE=1).
 */
#define _GNU_SOURCE
#include "addon.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Takes the path of a socket; 0 with an Error pending. */
static socklen_t take_address(napi_env env, napi_value value, struct sockaddr_un *address) {
  size_t length;
  address->sun_family = AF_UNIX;
  if (napi_get_value_string_utf8(env, value, address->sun_path, sizeof address->sun_path, &length) != napi_ok) {
    snap_throw_type(env, "sendDatagram", "the path of a socket as a string");
    return 0;
  }
  /* Filled to the last byte, the text may have been cut. */
  if (length == 0 || length + 1 >= sizeof address->sun_path) {
    snap_throw_range(env, "sendDatagram", "a path of 1 to 106 bytes");
    return 0;
  }
  /* The abstract name space, as service managers write it. */
  if (address->sun_path[0] == '@') address->sun_path[0] = '\0';
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* Takes a descriptor that need not be given: -1. */
static bool take_passed(napi_env env, napi_value value, int *fd) {
  napi_valuetype type;
  *fd = -1;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_undefined) return true;
  return snap_take_fd(env, value, "sendDatagram", fd);
}

/* See cmsg(3): the descriptor travels as SCM_RIGHTS, and the receiver gets one of its own for the same open file. */
static void pass(struct msghdr *message, void *control, size_t length, int fd) {
  message->msg_control = control;
  message->msg_controllen = length;
  struct cmsghdr *header = CMSG_FIRSTHDR(message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
}

napi_value snap_send_datagram(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  uint8_t *bytes;
  size_t length;
  int passed;
  struct sockaddr_un address = {0};
  /* Aligned as a header has to be. */
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {0};
  if (!snap_arguments(env, info, 3, argv)) return NULL;
  socklen_t address_length = take_address(env, argv[0], &address);
  if (address_length == 0 || !snap_take_bytes(env, argv[1], "sendDatagram", &bytes, &length) ||
      !take_passed(env, argv[2], &passed))
    return NULL;
  struct iovec content = {.iov_base = bytes, .iov_len = length};
  struct msghdr message = {
      .msg_name = &address, .msg_namelen = address_length, .msg_iov = &content, .msg_iovlen = 1};
  /* Before there is a socket, which would take the number of a descriptor that was closed. */
  if (passed >= 0 && fcntl(passed, F_GETFD) < 0) return snap_throw_errno(env, errno, "fcntl");
  if (passed >= 0) pass(&message, &control, sizeof control.bytes, passed);

  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return snap_throw_errno(env, errno, "socket");
  ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  int error = errno;
  close(fd);
  return sent < 0 ? snap_throw_errno(env, error, "sendmsg") : snap_undefined(env);
}
