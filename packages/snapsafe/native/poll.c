/*
 * "Call me when this descriptor is readable", on the event loop of the env, with no thread of its own.
 *
 * Level-triggered: the callback comes again until what is there was read. A hangup counts as readable (the read then
 * gives 0 or an error). The descriptor belongs to the caller, who stops the poller before closing it.
 *
 * Life of a poller: `self` keeps the JS object while it is polling. Stopping closes the uv handle, which takes a turn
 * of the loop; the memory goes when both the handle is closed and the JS object is collected. A worker that is
 * terminated goes through the cleanup hook, which makes Node wait for that turn.
 */
#include "addon.h"

#include <stdlib.h>
#include <sys/socket.h>

/*
 * libuv, by hand from uv.h (ABI stable for all of 1.x), so that no header is needed; a uv_poll_t is as opaque as its
 * size is unknown. Weak, so that a runtime without libuv says so at the call rather than not load the addon.
 */
typedef struct uv_loop_s uv_loop_t;
typedef struct uv_handle_s uv_handle_t;
typedef struct uv_poll_s uv_poll_t;
#define UV_POLL_TYPE 8 /* UV_POLL in enum uv_handle_type */
#define UV_READABLE 1  /* enum uv_poll_event */
extern size_t uv_handle_size(int type) __attribute__((weak));
extern int uv_poll_init(uv_loop_t *loop, uv_poll_t *handle, int fd) __attribute__((weak));
extern int uv_poll_start(uv_poll_t *handle, int events, void (*callback)(uv_poll_t *, int, int)) __attribute__((weak));
extern void uv_close(uv_handle_t *handle, void (*callback)(uv_handle_t *)) __attribute__((weak));
extern void uv_unref(uv_handle_t *handle) __attribute__((weak));
extern void *uv_handle_get_data(const uv_handle_t *handle) __attribute__((weak));
extern void uv_handle_set_data(uv_handle_t *handle, void *data) __attribute__((weak));

typedef struct {
  napi_env env;
  int fd;
  uv_poll_t *handle; /* NULL once closed */
  napi_ref self;
  napi_ref callback;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  bool stopped;
  bool collected;
} poller;

static const napi_type_tag poller_tag = {0x736e617073616665, 0x706f6c6c72656164}; /* "snapsafe", "pollread" */

static bool have_libuv(void) {
  return uv_handle_size && uv_poll_init && uv_poll_start && uv_close && uv_unref && uv_handle_get_data &&
         uv_handle_set_data;
}

static void on_closed(uv_handle_t *handle) {
  poller *p = uv_handle_get_data(handle);
  napi_async_cleanup_hook_handle hook = p->hook;
  free(p->handle);
  p->handle = NULL;
  if (p->collected) free(p);
  /* Last: at teardown this is what lets the env go. */
  if (hook != NULL) napi_remove_async_cleanup_hook(hook);
}

static void stop(poller *p) {
  if (p->stopped) return;
  p->stopped = true;
  if (p->callback != NULL) napi_delete_reference(p->env, p->callback);
  if (p->self != NULL) napi_delete_reference(p->env, p->self);
  if (p->context != NULL) napi_async_destroy(p->env, p->context);
  uv_close((uv_handle_t *)p->handle, on_closed);
}

static void on_teardown(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  stop(data);
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  poller *p = data;
  p->collected = true;
  if (p->handle == NULL) free(p);
}

/*
 * What libuv says as UV_EBADF is any POLLERR, and it has stopped polling by then. On a socket this can be an error that
 * passes, such as ENOBUFS of a netlink socket that lost messages: taken from the socket, reported, polling goes on.
 */
static int take_socket_error(poller *p) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return 0;
  return error;
}

static void on_poll(uv_poll_t *handle, int status, int events);

static napi_value error_code(poller *p, int status) {
  napi_value code = NULL;
  char name[32];
  int error = take_socket_error(p);
  if (error != 0) uv_poll_start(p->handle, UV_READABLE, on_poll);
  snap_errno_name(error != 0 ? error : -status, name, sizeof name);
  napi_create_string_utf8(p->env, name, NAPI_AUTO_LENGTH, &code);
  return code;
}

static void on_poll(uv_poll_t *handle, int status, int events) {
  (void)events;
  poller *p = uv_handle_get_data((uv_handle_t *)handle);
  napi_env env = p->env;
  napi_handle_scope scope;
  if (p->stopped || napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value self, callback, error, result;
  napi_value argument = status < 0 ? error_code(p, status) : snap_undefined(env);
  if (argument != NULL && napi_get_reference_value(env, p->self, &self) == napi_ok &&
      napi_get_reference_value(env, p->callback, &callback) == napi_ok &&
      /* Runs process.nextTick and the microtasks afterwards. */
      napi_make_callback(env, p->context, self, callback, 1, &argument, &result) == napi_pending_exception &&
      /* p may be stopped from here on. While a worker is being terminated there is no exception to pass on. */
      napi_get_and_clear_last_exception(env, &error) == napi_ok && error != NULL)
    napi_fatal_exception(env, error);
  napi_close_handle_scope(env, scope);
}

/* Fills p, whose memory stays the caller's on failure: an Error is pending then and p->handle is NULL or closing. */
static bool start(poller *p, napi_value self, napi_value callback) {
  napi_env env = p->env;
  napi_value name;
  uv_loop_t *loop;
  int error = (p->handle = malloc(uv_handle_size(UV_POLL_TYPE))) == NULL ? -ENOMEM : 0;
  if (error == 0 && napi_get_uv_event_loop(env, (struct uv_loop_s **)&loop) != napi_ok) error = -ENOSYS;
  if (error == 0) error = uv_poll_init(loop, p->handle, p->fd);
  if (error != 0) {
    free(p->handle);
    p->handle = NULL;
    p->stopped = true;
    snap_throw_errno(env, -error, "uv_poll_init");
    return false;
  }
  uv_handle_set_data((uv_handle_t *)p->handle, p);
  if (napi_create_reference(env, self, 1, &p->self) == napi_ok &&
      napi_create_reference(env, callback, 1, &p->callback) == napi_ok &&
      napi_create_string_utf8(env, "SNAPSAFEPOLL", NAPI_AUTO_LENGTH, &name) == napi_ok &&
      napi_async_init(env, self, name, &p->context) == napi_ok &&
      napi_add_async_cleanup_hook(env, on_teardown, p, &p->hook) == napi_ok &&
      uv_poll_start(p->handle, UV_READABLE, on_poll) == 0)
    return true;
  stop(p);
  snap_throw_errno(env, ENOMEM, "uv_poll_start");
  return false;
}

napi_value snap_poll_readable(napi_env env, napi_callback_info info) {
  napi_value argv[2], self;
  napi_valuetype type;
  int fd;
  if (!snap_arguments(env, info, 2, argv) || !snap_take_fd(env, argv[0], "pollReadable", &fd)) return NULL;
  if (napi_typeof(env, argv[1], &type) != napi_ok || type != napi_function)
    return snap_throw_type(env, "pollReadable", "a function");
  if (!have_libuv()) return snap_throw_errno(env, ENOSYS, "uv_poll_init");
  poller *p = calloc(1, sizeof *p);
  if (p == NULL) return snap_throw_errno(env, ENOMEM, "pollReadable");
  p->env = env;
  p->fd = fd;
  if (napi_create_object(env, &self) != napi_ok || !snap_wrap(env, self, p, on_collected, &poller_tag)) {
    free(p);
    return snap_throw_errno(env, ENOMEM, "pollReadable");
  }
  /* From here on p goes with its object. */
  return start(p, self, argv[1]) ? self : NULL;
}

static bool take_poller(napi_env env, napi_callback_info info, const char *function, poller **p) {
  napi_value argv[1];
  return snap_arguments(env, info, 1, argv) &&
         snap_unwrap(env, argv[0], function, "a poller", &poller_tag, (void **)p);
}

napi_value snap_poll_stop(napi_env env, napi_callback_info info) {
  poller *p;
  if (!take_poller(env, info, "pollStop", &p)) return NULL;
  stop(p);
  return snap_undefined(env);
}

/* From now on this poller alone does not keep the process alive. */
napi_value snap_poll_unref(napi_env env, napi_callback_info info) {
  poller *p;
  if (!take_poller(env, info, "pollUnref", &p)) return NULL;
  if (!p->stopped) uv_unref((uv_handle_t *)p->handle);
  return snap_undefined(env);
}
