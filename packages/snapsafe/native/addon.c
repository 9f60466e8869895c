/* Registration: the table of what JS can call. Types and promises are in src/native.ts. */
#include "addon.h"

static const struct {
  const char *name;
  napi_callback function;
} functions[] = {
    {"mapPage", snap_map_page_for_reading},
    {"openPageWriter", snap_open_page_writer},
    {"pageLoad32", snap_page_load32},
    {"pageStore32", snap_page_store32},
    {"pageStoreBytes", snap_page_store_bytes},
    {"wakeFutex", snap_wake_futex},
    {"closePageWriter", snap_close_page_writer},
    {"peerCredentials", snap_peer_credentials},
    {"peerPidfd", snap_peer_pidfd},
    {"pidfdOpen", snap_pidfd_open},
    {"pidfdSendSignal", snap_pidfd_send_signal},
    {"pidfdGetFd", snap_pidfd_get_fd},
    {"createSecretMemory", snap_create_secret_memory},
    {"closeSecretMemory", snap_close_secret_memory},
    {"memfdSeals", snap_memfd_seals},
    {"tryLock", snap_try_lock},
    {"sendDatagram", snap_send_datagram},
    {"pollReadable", snap_poll_readable},
    {"pollStop", snap_poll_stop},
    {"pollUnref", snap_poll_unref},
    {"reseedOpenSSL", snap_reseed_openssl},
    {"openSSLReseedCount", snap_openssl_reseed_count},
    {"addKernelEntropy", snap_add_kernel_entropy},
    {"reseedKernelRandom", snap_reseed_kernel_random},
    {"cpuRandom", snap_cpu_random},
    {"bootTimeNs", snap_boot_time_ns},
};

/* Run once per env, that is once in each worker that loads the addon. On failure the exception is left pending. */
NAPI_MODULE_INIT() {
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    napi_value function;
    if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL, &function) !=
            napi_ok ||
        napi_set_named_property(env, exports, functions[i].name, function) != napi_ok)
      return NULL;
  }
  return exports;
}
