/*
 * The kernel's random generator. See random(4) and include/uapi/linux/random.h.
 *
 * The caller opens the device and so decides which one is meant; on any other file the kernel answers ENOTTY.
 */
#include "addon.h"

#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef RNDRESEEDCRNG
#define RNDRESEEDCRNG _IO('R', 0x07) /* since Linux 4.17 */
#endif

#define MAX_ENTROPY_BYTES 512u

/* Mixes bytes into the pool at once. Since Linux 5.18 this alone reseeds nothing: reseedKernelRandom has to follow. */
napi_value snap_add_kernel_entropy(napi_env env, napi_callback_info info) {
  static const char function[] = "addKernelEntropy";
  napi_value argv[3];
  int fd;
  uint8_t *bytes;
  size_t length;
  uint32_t bits;
  if (!snap_arguments(env, info, 3, argv) || !snap_take_fd(env, argv[0], function, &fd) ||
      !snap_take_bytes(env, argv[1], function, &bytes, &length) ||
      !snap_take_u32(env, argv[2], function, "bits to credit", &bits))
    return NULL;
  if (length == 0 || length > MAX_ENTROPY_BYTES) return snap_throw_range(env, function, "1 to 512 bytes");
  if (bits > length * 8) return snap_throw_range(env, function, "no more credit than bits were given");
  /* struct rand_pool_info of linux/random.h, with its variable part. */
  struct {
    int entropy_count;
    int buf_size;
    uint8_t buf[MAX_ENTROPY_BYTES];
  } pool;
  pool.entropy_count = (int)bits;
  pool.buf_size = (int)length;
  memcpy(pool.buf, bytes, length);
  int result = ioctl(fd, RNDADDENTROPY, &pool);
  int error = errno;
  /* The bytes may come from the VMGenID, which is secret: they are not left on the stack. */
  snap_wipe(&pool, sizeof pool);
  return result != 0 ? snap_throw_errno(env, error, "ioctl(RNDADDENTROPY)") : snap_undefined(env);
}

napi_value snap_reseed_kernel_random(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  int fd;
  if (!snap_arguments(env, info, 1, argv) || !snap_take_fd(env, argv[0], "reseedKernelRandom", &fd)) return NULL;
  return ioctl(fd, RNDRESEEDCRNG) != 0 ? snap_throw_errno(env, errno, "ioctl(RNDRESEEDCRNG)") : snap_undefined(env);
}
