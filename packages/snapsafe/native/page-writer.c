/*
 * The daemon's side of the page: stores into shared memory, and the futex.
 *
 * Every store is followed and preceded by a full fence, so that other CPUs see the stores in the order in which JS made
 * them. The order itself (odd sequence, fields, generation, even sequence) is that of src/protocol/page-writer.ts.
 */
#define _GNU_SOURCE
#include "addon.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
  uint8_t *page; /* NULL once closed */
} page_writer;

static const napi_type_tag writer_tag = {0x736e617073616665, 0x7061676577726974}; /* "snapsafe", "pagewrit" */

static void unmap(page_writer *writer) {
  if (writer->page == NULL) return;
  munmap(writer->page, SNAP_PAGE_BYTES);
  writer->page = NULL;
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  unmap(data);
  free(data);
}

static bool take_writer(napi_env env, napi_value value, const char *function, page_writer **writer) {
  return snap_unwrap(env, value, function, "a page writer", &writer_tag, (void **)writer);
}

/* Takes (writer, byteOffset) and gives the address, which is inside the page with `length` bytes from it. */
static uint8_t *take_place(napi_env env, napi_value *argv, const char *function, size_t length, size_t alignment) {
  page_writer *writer;
  uint32_t offset;
  if (!take_writer(env, argv[0], function, &writer) ||
      !snap_take_u32(env, argv[1], function, "a byte offset in the page", &offset))
    return NULL;
  if (length > SNAP_PAGE_BYTES || offset > SNAP_PAGE_BYTES - length || offset % alignment != 0) {
    snap_throw_range(env, function, "an aligned byte offset in the page");
    return NULL;
  }
  if (writer->page == NULL) {
    snap_throw(env, "EBADF", function, "EBADF: the page writer is closed");
    return NULL;
  }
  return writer->page + offset;
}

napi_value snap_open_page_writer(napi_env env, napi_callback_info info) {
  napi_value argv[1], object;
  int fd;
  if (!snap_arguments(env, info, 1, argv) || !snap_take_fd(env, argv[0], "openPageWriter", &fd)) return NULL;
  void *page = snap_map_page(env, fd, PROT_READ | PROT_WRITE);
  if (page == MAP_FAILED) return NULL;
  page_writer *writer = malloc(sizeof *writer);
  if (writer != NULL) {
    writer->page = page;
    if (napi_create_object(env, &object) == napi_ok && snap_wrap(env, object, writer, finalize, &writer_tag))
      return object;
  }
  free(writer);
  munmap(page, SNAP_PAGE_BYTES);
  return snap_throw_errno(env, ENOMEM, "openPageWriter");
}

napi_value snap_page_load32(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  if (!snap_arguments(env, info, 2, argv)) return NULL;
  uint8_t *place = take_place(env, argv, "pageLoad32", sizeof(uint32_t), sizeof(uint32_t));
  return place == NULL ? NULL : snap_number(env, __atomic_load_n((uint32_t *)place, __ATOMIC_SEQ_CST));
}

napi_value snap_page_store32(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  uint32_t value;
  if (!snap_arguments(env, info, 3, argv)) return NULL;
  uint8_t *place = take_place(env, argv, "pageStore32", sizeof(uint32_t), sizeof(uint32_t));
  if (place == NULL || !snap_take_u32(env, argv[2], "pageStore32", "a u32 value", &value)) return NULL;
  /* A sequentially consistent store keeps later plain stores back on x86 only; the fences do it everywhere. */
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  __atomic_store_n((uint32_t *)place, value, __ATOMIC_SEQ_CST);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return snap_undefined(env);
}

napi_value snap_page_store_bytes(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  uint8_t *bytes;
  size_t length;
  if (!snap_arguments(env, info, 3, argv) || !snap_take_bytes(env, argv[2], "pageStoreBytes", &bytes, &length))
    return NULL;
  uint8_t *place = take_place(env, argv, "pageStoreBytes", length, 1);
  if (place == NULL) return NULL;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  memcpy(place, bytes, length);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return snap_undefined(env);
}

/* Wakes all who wait for a change of the word; shared, because they are in other processes. Returns how many. */
napi_value snap_wake_futex(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  if (!snap_arguments(env, info, 2, argv)) return NULL;
  uint8_t *place = take_place(env, argv, "wakeFutex", sizeof(uint32_t), sizeof(uint32_t));
  if (place == NULL) return NULL;
  long woken = syscall(SYS_futex, place, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
  return woken < 0 ? snap_throw_errno(env, errno, "futex") : snap_number(env, (double)woken);
}

napi_value snap_close_page_writer(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  page_writer *writer;
  if (!snap_arguments(env, info, 1, argv) || !take_writer(env, argv[0], "closePageWriter", &writer)) return NULL;
  unmap(writer);
  return snap_undefined(env);
}
