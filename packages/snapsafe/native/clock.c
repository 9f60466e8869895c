/* The clock of the page: since boot, counting suspension. See clock_gettime(2), CLOCK_BOOTTIME. */
#define _GNU_SOURCE
#include "addon.h"

#include <time.h>

#ifndef CLOCK_BOOTTIME
#define CLOCK_BOOTTIME 7 /* include/uapi/linux/time.h */
#endif

napi_value snap_boot_time_ns(napi_env env, napi_callback_info info) {
  (void)info;
  struct timespec now;
  napi_value result;
  if (clock_gettime(CLOCK_BOOTTIME, &now) != 0) return snap_throw_errno(env, errno, "clock_gettime");
  uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  return napi_create_bigint_uint64(env, ns, &result) == napi_ok ? result : NULL;
}
