/* The reader's side of the page: a read-only mapping as an ArrayBuffer. */
#define _GNU_SOURCE
#include "addon.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

bool snap_file_size(napi_env env, int fd, bool *regular, uint64_t *size) {
  struct statx status;
  /* The bare call: fstat would bind the binary to the glibc that it was built with, and musl got statx late. */
  if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, &status) != 0) {
    snap_throw_errno(env, errno, "statx");
    return false;
  }
  if (regular != NULL) *regular = (status.stx_mode & S_IFMT) == S_IFREG;
  *size = status.stx_size;
  return true;
}

/*
 * A mapping reaches as far as the file does: touching it behind the end is SIGBUS, which no JS can catch. So a file
 * that is too short is refused here. Nothing protects from a file that is truncated later; the daemon never does that.
 */
void *snap_map_page(napi_env env, int fd, int protection) {
  bool regular;
  uint64_t size;
  if (!snap_file_size(env, fd, &regular, &size)) return MAP_FAILED;
  if (!regular || size < SNAP_PAGE_BYTES) {
    snap_throw(env, "EINVAL", "mmap", "EINVAL: not a regular file of at least 4096 bytes, mmap");
    return MAP_FAILED;
  }
  void *page = mmap(NULL, SNAP_PAGE_BYTES, protection, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) snap_throw_errno(env, errno, "mmap");
  return page;
}

static void unmap(napi_env env, void *page, void *hint) {
  (void)env;
  (void)hint;
  munmap(page, SNAP_PAGE_BYTES);
}

napi_value snap_map_page_for_reading(napi_env env, napi_callback_info info) {
  napi_value argv[1], buffer;
  int fd;
  if (!snap_arguments(env, info, 1, argv) || !snap_take_fd(env, argv[0], "mapPage", &fd)) return NULL;
  void *page = snap_map_page(env, fd, PROT_READ);
  if (page == MAP_FAILED) return NULL;
  napi_status status = napi_create_external_arraybuffer(env, page, SNAP_PAGE_BYTES, unmap, NULL, &buffer);
  if (status == napi_ok) return buffer;
  munmap(page, SNAP_PAGE_BYTES);
  return snap_throw_no_buffer(env, status, "mapPage");
}
