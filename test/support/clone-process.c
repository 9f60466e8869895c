/*
 * Clones this process as a virtual machine's snapshot does: the same memory and the same process id. The process has to be
 * number 1 of a PID namespace (unshare -p); each clone is number 1 of another. No atfork handlers run, and only the calling
 * thread lives on in the clone, so it may do nothing that waits for another one.
 */
#define _GNU_SOURCE
#include <node_api.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* V8 excludes its heap from fork(2). A snapshot does not ask. */
static void share_all_memory(void) {
  static unsigned long marked[4096][2];
  size_t count = 0;
  unsigned long start = 0, end = 0;
  char line[4096];
  FILE *maps = fopen("/proc/self/smaps", "re");
  if (maps == NULL) return;
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long from, to;
    if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
      start = from;
      end = to;
    } else if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dc") != NULL && count < 4096) {
      marked[count][0] = start;
      marked[count++][1] = end;
    }
  }
  fclose(maps);
  for (size_t i = 0; i < count; i++) {
    madvise((void *)marked[i][0], marked[i][1] - marked[i][0], MADV_DOFORK);
  }
}

/*
 * cloneProcess(count): 1 to count in the clones; in the original, which stays as it is until all have ended, 0, or -1 where
 * one was not made, or failed. One clone after the other, so that they do not write into each other's lines.
 */
static napi_value clone_process(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argument, result;
  int32_t count = 0, answer = 0;
  napi_get_cb_info(env, info, &argc, &argument, NULL, NULL);
  napi_get_value_int32(env, argument, &count);
  share_all_memory();
  for (int32_t number = 1; number <= count && answer == 0; number++) {
    int status = 0;
    pid_t clone = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
    if (clone == 0) {
      napi_create_int32(env, number, &result);
      return result;
    }
    if (clone < 0 || waitpid(clone, &status, 0) != clone || status != 0) answer = -1;
  }
  napi_create_int32(env, answer, &result);
  return result;
}

/* endProcess(): at once, without any of the work that a thread that is not there would have to help with. */
static napi_value end_process(napi_env env, napi_callback_info info) {
  (void)env;
  (void)info;
  _exit(0);
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "cloneProcess", NAPI_AUTO_LENGTH, clone_process, NULL, &function);
  napi_set_named_property(env, exports, "cloneProcess", function);
  napi_create_function(env, "endProcess", NAPI_AUTO_LENGTH, end_process, NULL, &function);
  napi_set_named_property(env, exports, "endProcess", function);
  return exports;
}
