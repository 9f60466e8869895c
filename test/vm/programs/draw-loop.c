// Draws from the kernel's random generator without pause and leaves a record of every draw, so that the clones of one
// snapshot can be laid side by side: what of it was drawn after the restore, and with which generation on the page.
//
//   draw-loop RING RECORDS AFTER
//
// RING is made anew: a shared mapping of slots of 32 bytes. The first slot is the header (steps begun, number of records),
// each other one the record of a step; see scenarios/draw-ring.ts. When the page has a generation that is new, AFTER more
// steps are recorded, and "recorded STEP" is said; then the loop goes on and only counts, so that the ring keeps both sides
// of the restore.
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE_PATH "/run/snapsafe/generation"
#define PAGE_BYTES 4096
// The interrupts of a guest are handled on CPU 0: there the kernel would reseed before this loop went on.
#define LOOP_CPU 1
// After so many steps somebody may be told that the loop is at work.
#define WARM_STEPS 1000

struct header {
  uint64_t begun;
  uint64_t records;
  uint64_t unused[2];
};

struct record {
  uint64_t step;
  uint64_t begin_ns;
  uint32_t generation;
  uint32_t unused;
  uint8_t value[8];
};

_Static_assert(sizeof(struct header) == 32 && sizeof(struct record) == 32, "a slot has 32 bytes");

static void check(int succeeded, const char *what) {
  if (succeeded) return;
  perror(what);
  exit(EXIT_FAILURE);
}

static void say(const char *what, uint64_t step) {
  check(printf("%s %" PRIu64 "\n", what, step) > 0 && fflush(stdout) == 0, "stdout");
}

static void *map(const char *path, int flags, size_t bytes, int protection) {
  int fd = open(path, flags | O_CLOEXEC, 0600);
  check(fd >= 0, path);
  check(!(flags & O_CREAT) || ftruncate(fd, (off_t)bytes) == 0, path);
  void *mapping = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
  check(mapping != MAP_FAILED, path);
  close(fd);
  return mapping;
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv) {
  uint64_t records = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
  uint64_t left = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
  if (records == 0 || left == 0) {
    fprintf(stderr, "usage: draw-loop RING RECORDS AFTER\n");
    return EXIT_FAILURE;
  }

  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(LOOP_CPU, &cpus);
  check(sched_setaffinity(0, sizeof cpus, &cpus) == 0, "sched_setaffinity");

  const uint32_t *page = map(PAGE_PATH, O_RDONLY, PAGE_BYTES, PROT_READ);
  size_t bytes = sizeof(struct header) + records * sizeof(struct record);
  struct header *header = map(argv[1], O_RDWR | O_CREAT | O_TRUNC, bytes, PROT_READ | PROT_WRITE);
  struct record *ring = (struct record *)(header + 1);
  header->records = records;

  uint32_t first = __atomic_load_n(page, __ATOMIC_ACQUIRE);
  for (uint64_t step = 1;; step++) {
    __atomic_store_n(&header->begun, step, __ATOMIC_SEQ_CST);
    struct record record = {.step = step, .begin_ns = now_ns()};
    record.generation = __atomic_load_n(page, __ATOMIC_ACQUIRE);
    // The system call itself: a generator of the C library or of the vDSO would have a state of its own.
    check(syscall(SYS_getrandom, record.value, sizeof record.value, 0) == sizeof record.value, "getrandom");
    if (step == WARM_STEPS) say("drawing", step);
    if (left == 0) continue;
    // The number last: a slot that has it is whole.
    struct record *slot = &ring[step % records];
    slot->begin_ns = record.begin_ns;
    slot->generation = record.generation;
    __builtin_memcpy(slot->value, record.value, sizeof record.value);
    __atomic_store_n(&slot->step, step, __ATOMIC_RELEASE);
    if (record.generation != first && --left == 0) say("recorded", step);
  }
}
