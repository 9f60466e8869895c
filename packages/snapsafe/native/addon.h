/*
 * What every part of the addon shares: how arguments are taken, how failures are thrown, the names of the functions.
 *
 * Node-API 8 only, so that one binary serves Node 20 and later. No state outside the env that a function was called
 * in: the addon may be loaded in any number of worker threads.
 */
#ifndef SNAPSAFE_ADDON_H
#define SNAPSAFE_ADDON_H

#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The part of the page file that is mapped. See section 4 of the design; the layout itself is known to JS only. */
#define SNAP_PAGE_BYTES 4096u

/* Puts the arguments of the call into argv; those that were not given are `undefined`. */
bool snap_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *argv);

/*
 * Each takes one argument out of a JS value. false: an Error with code ERR_INVALID_ARG_TYPE or ERR_OUT_OF_RANGE is
 * pending, and the caller returns NULL at once.
 */
bool snap_take_fd(napi_env env, napi_value value, const char *function, int *fd);
bool snap_take_u32(napi_env env, napi_value value, const char *function, const char *what, uint32_t *number);
bool snap_take_bytes(napi_env env, napi_value value, const char *function, uint8_t **bytes, size_t *length);

/* Gives an object of ours its native part, and takes it back only out of an object that has exactly this tag. */
bool snap_wrap(napi_env env, napi_value object, void *native, napi_finalize finalize, const napi_type_tag *tag);
bool snap_unwrap(napi_env env, napi_value value, const char *function, const char *what, const napi_type_tag *tag,
                 void **native);

/* Each throws an Error with `code` and `syscall`, and returns NULL so that it can be returned. */
napi_value snap_throw_errno(napi_env env, int error, const char *syscall_name);
napi_value snap_throw(napi_env env, const char *code, const char *syscall_name, const char *message);
napi_value snap_throw_type(napi_env env, const char *function, const char *expected);
napi_value snap_throw_range(napi_env env, const char *function, const char *expected);
/* For an ArrayBuffer over memory of our own that could not be made. */
napi_value snap_throw_no_buffer(napi_env env, napi_status status, const char *function);

/* Writes the name of an errno ("EACCES"); a number where the runtime has no libuv. */
void snap_errno_name(int error, char *name, size_t length);

napi_value snap_undefined(napi_env env);
napi_value snap_boolean(napi_env env, bool value);
napi_value snap_number(napi_env env, double value);

/* page.c */
/* The size of an open file and, unless `regular` is NULL, whether it is a regular one. false: an Error is pending. */
bool snap_file_size(napi_env env, int fd, bool *regular, uint64_t *size);
/* Maps the first page of a regular file; MAP_FAILED with an Error pending. */
void *snap_map_page(napi_env env, int fd, int protection);
napi_value snap_map_page_for_reading(napi_env env, napi_callback_info info);

/* page-writer.c */
napi_value snap_open_page_writer(napi_env env, napi_callback_info info);
napi_value snap_page_load32(napi_env env, napi_callback_info info);
napi_value snap_page_store32(napi_env env, napi_callback_info info);
napi_value snap_page_store_bytes(napi_env env, napi_callback_info info);
napi_value snap_wake_futex(napi_env env, napi_callback_info info);
napi_value snap_close_page_writer(napi_env env, napi_callback_info info);

/* peercred.c */
napi_value snap_peer_credentials(napi_env env, napi_callback_info info);

/* poll.c */
napi_value snap_poll_readable(napi_env env, napi_callback_info info);
napi_value snap_poll_stop(napi_env env, napi_callback_info info);
napi_value snap_poll_unref(napi_env env, napi_callback_info info);

/* openssl.c */
napi_value snap_reseed_openssl(napi_env env, napi_callback_info info);
napi_value snap_openssl_reseed_count(napi_env env, napi_callback_info info);

/* random.c */
napi_value snap_add_kernel_entropy(napi_env env, napi_callback_info info);
napi_value snap_reseed_kernel_random(napi_env env, napi_callback_info info);

/* cpu-random.c */
napi_value snap_cpu_random(napi_env env, napi_callback_info info);

/* lock.c */
napi_value snap_try_lock(napi_env env, napi_callback_info info);

/* pidfd.c */
napi_value snap_peer_pidfd(napi_env env, napi_callback_info info);
napi_value snap_pidfd_open(napi_env env, napi_callback_info info);
napi_value snap_pidfd_send_signal(napi_env env, napi_callback_info info);
napi_value snap_pidfd_get_fd(napi_env env, napi_callback_info info);

/* memory.c */
/* Overwrites with zeros, whatever the compiler thinks of it. */
void snap_wipe(void *memory, size_t length);
napi_value snap_create_secret_memory(napi_env env, napi_callback_info info);
napi_value snap_close_secret_memory(napi_env env, napi_callback_info info);
napi_value snap_memfd_seals(napi_env env, napi_callback_info info);

/* datagram.c */
napi_value snap_send_datagram(napi_env env, napi_callback_info info);

/* clock.c */
napi_value snap_boot_time_ns(napi_env env, napi_callback_info info);

#endif
