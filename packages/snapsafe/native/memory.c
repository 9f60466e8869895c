/*
 * Memory for secrets that another process can overwrite, because it is a file: a memfd. See memfd_create(2), and fcntl(2)
 * for its seals.
 */
#define _GNU_SOURCE
#include "addon.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* include/uapi/linux/memfd.h */
#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 0x0001u
#endif
#ifndef MFD_ALLOW_SEALING
#define MFD_ALLOW_SEALING 0x0002u
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* Linux 6.3 */
#endif
/* include/uapi/linux/fcntl.h */
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_SEAL_SEAL 0x0001
#define F_SEAL_SHRINK 0x0002
#define F_SEAL_GROW 0x0004
#endif
/* include/uapi/asm-generic/mman-common.h */
#ifndef MADV_DONTFORK
#define MADV_DONTFORK 10
#endif
#ifndef MADV_DONTDUMP
#define MADV_DONTDUMP 16
#endif

/* Secrets are small. Enough for what the library gives out, and far from what would hurt. */
#define MAX_SECRET_BYTES (16u << 20)

void snap_wipe(void *memory, size_t length) {
  memset(memory, 0, length);
  /* The compiler has to take it that somebody reads the memory here. */
  __asm__ volatile("" : : "r"(memory) : "memory");
}

static void wipe_and_unmap(napi_env env, void *memory, void *length) {
  (void)env;
  snap_wipe(memory, (size_t)(uintptr_t)length);
  munmap(memory, (size_t)(uintptr_t)length);
}

/* A sealed memfd that has all of its pages, so that touching them is never SIGBUS; -1 with an Error pending. */
static int create_file(napi_env env, size_t length) {
  static const char name[] = "snapsafe";
  const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  /* The bare call: glibc has had it since 2.27 only. A kernel that does not know the last flag says EINVAL. */
  int fd = (int)syscall(SYS_memfd_create, name, flags | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = (int)syscall(SYS_memfd_create, name, flags);
  if (fd < 0) {
    snap_throw_errno(env, errno, "memfd_create");
    return -1;
  }
  const char *failed = NULL;
  if (ftruncate(fd, (off_t)length) != 0)
    failed = "ftruncate";
  else if (fallocate(fd, 0, 0, (off_t)length) != 0)
    failed = "fallocate";
  else if (fcntl(fd, F_ADD_SEALS, seals) != 0)
    failed = "fcntl(F_ADD_SEALS)";
  if (failed == NULL) return fd;
  int error = errno;
  close(fd);
  snap_throw_errno(env, error, failed);
  return -1;
}

/*
 * Neither in a core dump nor in a child that was forked: MADV_WIPEONFORK, which would leave the child zeros, is for private
 * anonymous memory only (EINVAL here), so a child does not have this memory at all. It has the descriptor until it calls
 * exec, as every child has.
 */
static void *map_secret(napi_env env, int fd, size_t length) {
  void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    snap_throw_errno(env, errno, "mmap");
    return MAP_FAILED;
  }
  if (madvise(memory, length, MADV_DONTDUMP) == 0 && madvise(memory, length, MADV_DONTFORK) == 0) return memory;
  int error = errno;
  munmap(memory, length);
  snap_throw_errno(env, error, "madvise");
  return MAP_FAILED;
}

typedef struct {
  int fd; /* -1 once closed */
} secret_file;

static const napi_type_tag secret_tag = {0x736e617073616665, 0x7365637265746d65}; /* "snapsafe", "secretme" */

static void close_file(secret_file *file) {
  if (file->fd >= 0) close(file->fd);
  file->fd = -1;
}

/* Also when a worker thread ends: Node closes the descriptors of a thread only where it opened them itself. */
static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  close_file(data);
  free(data);
}

static bool set(napi_env env, napi_value object, const char *name, napi_value value) {
  return value != NULL && napi_set_named_property(env, object, name, value) == napi_ok;
}

/* Maps the file as an ArrayBuffer that overwrites and unmaps when it is collected; NULL with an Error pending. */
static napi_value create_buffer(napi_env env, int fd, size_t length, bool *locked) {
  napi_value buffer;
  void *memory = map_secret(env, fd, length);
  if (memory == MAP_FAILED) return NULL;
  /* Not everybody may lock so much (RLIMIT_MEMLOCK): the secret can then be swapped out, and is protected all the same. */
  *locked = mlock(memory, length) == 0;
  void *hint = (void *)(uintptr_t)length;
  napi_status status = napi_create_external_arraybuffer(env, memory, length, wipe_and_unmap, hint, &buffer);
  if (status == napi_ok) return buffer;
  munmap(memory, length);
  return snap_throw_no_buffer(env, status, "createSecretMemory");
}

napi_value snap_create_secret_memory(napi_env env, napi_callback_info info) {
  static const char function[] = "createSecretMemory", wanted[] = "a length of 1 to 16777216 bytes";
  napi_value argv[1], result;
  uint32_t length;
  bool locked = false;
  if (!snap_arguments(env, info, 1, argv) || !snap_take_u32(env, argv[0], function, wanted, &length)) return NULL;
  if (length == 0 || length > MAX_SECRET_BYTES) return snap_throw_range(env, function, wanted);
  secret_file *file = malloc(sizeof *file);
  if (file == NULL) return snap_throw_errno(env, ENOMEM, function);
  file->fd = -1;
  if (napi_create_object(env, &result) != napi_ok || !snap_wrap(env, result, file, finalize, &secret_tag)) {
    free(file);
    return snap_throw_errno(env, ENOMEM, function);
  }
  /* From here on the file goes with its object, and the mapping with its buffer. */
  file->fd = create_file(env, length);
  if (file->fd < 0) return NULL;
  napi_value buffer = create_buffer(env, file->fd, length, &locked);
  if (buffer != NULL && set(env, result, "fd", snap_number(env, file->fd)) && set(env, result, "memory", buffer) &&
      set(env, result, "locked", snap_boolean(env, locked)))
    return result;
  close_file(file);
  return NULL;
}

napi_value snap_close_secret_memory(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  secret_file *file;
  if (!snap_arguments(env, info, 1, argv) ||
      !snap_unwrap(env, argv[0], "closeSecretMemory", "secret memory", &secret_tag, (void **)&file))
    return NULL;
  close_file(file);
  return snap_undefined(env);
}

napi_value snap_memfd_seals(napi_env env, napi_callback_info info) {
  napi_value argv[1], result;
  int fd;
  if (!snap_arguments(env, info, 1, argv) || !snap_take_fd(env, argv[0], "memfdSeals", &fd)) return NULL;
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 && errno == EINVAL) return snap_undefined(env);
  if (seals < 0) return snap_throw_errno(env, errno, "fcntl(F_GET_SEALS)");
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return snap_throw_errno(env, errno, "fcntl(F_GETFL)");
  bool writable = (flags & O_ACCMODE) == O_RDWR || (flags & O_ACCMODE) == O_WRONLY;
  uint64_t size;
  if (!snap_file_size(env, fd, NULL, &size) || napi_create_object(env, &result) != napi_ok ||
      !set(env, result, "seals", snap_number(env, seals)) ||
      !set(env, result, "writable", snap_boolean(env, writable)) ||
      !set(env, result, "size", snap_number(env, (double)size)))
    return NULL;
  return result;
}
