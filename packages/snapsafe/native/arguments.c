/* Arguments in, errors out. Nothing in here trusts the type of what JS handed over. */
#include "addon.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/*
 * libuv's names of errors (uv.h: `char* uv_err_name_r(int err, char* buf, size_t buflen)`, and uv_strerror_r alike;
 * err is a negative errno). Weak: a runtime without libuv still loads the addon.
 */
extern char *uv_err_name_r(int error, char *buffer, size_t length) __attribute__((weak));
extern char *uv_strerror_r(int error, char *buffer, size_t length) __attribute__((weak));

bool snap_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *argv) {
  return napi_get_cb_info(env, info, &count, argv, NULL, NULL) == napi_ok;
}

static bool is_type(napi_env env, napi_value value, napi_valuetype wanted) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) == napi_ok && type == wanted;
}

static bool take_integer(napi_env env, napi_value value, double maximum, const char *function, const char *what,
                         double *number) {
  if (!is_type(env, value, napi_number)) {
    snap_throw_type(env, function, what);
    return false;
  }
  if (napi_get_value_double(env, value, number) == napi_ok && *number >= 0 && *number <= maximum &&
      (double)(uint64_t)*number == *number)
    return true;
  snap_throw_range(env, function, what);
  return false;
}

bool snap_take_fd(napi_env env, napi_value value, const char *function, int *fd) {
  double number;
  if (!take_integer(env, value, INT_MAX, function, "a file descriptor (a whole number)", &number)) return false;
  *fd = (int)number;
  return true;
}

bool snap_take_u32(napi_env env, napi_value value, const char *function, const char *what, uint32_t *number) {
  double wide;
  if (!take_integer(env, value, UINT32_MAX, function, what, &wide)) return false;
  *number = (uint32_t)wide;
  return true;
}

bool snap_take_bytes(napi_env env, napi_value value, const char *function, uint8_t **bytes, size_t *length) {
  bool is_typed_array = false;
  napi_typedarray_type type;
  void *data = NULL;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array ||
      napi_get_typedarray_info(env, value, &type, length, &data, NULL, NULL) != napi_ok || type != napi_uint8_array) {
    snap_throw_type(env, function, "a Uint8Array");
    return false;
  }
  /* An empty or detached array has no memory; keep memcpy away from NULL. */
  static uint8_t nothing[1];
  *bytes = data == NULL ? nothing : data;
  if (data == NULL) *length = 0;
  return true;
}

bool snap_wrap(napi_env env, napi_value object, void *native, napi_finalize finalize, const napi_type_tag *tag) {
  if (napi_type_tag_object(env, object, tag) != napi_ok) return false;
  return napi_wrap(env, object, native, finalize, NULL, NULL) == napi_ok;
}

bool snap_unwrap(napi_env env, napi_value value, const char *function, const char *what, const napi_type_tag *tag,
                 void **native) {
  bool ours = false;
  if (is_type(env, value, napi_object) && napi_check_object_type_tag(env, value, tag, &ours) == napi_ok && ours &&
      napi_unwrap(env, value, native) == napi_ok)
    return true;
  snap_throw_type(env, function, what);
  return false;
}

void snap_errno_name(int error, char *name, size_t length) {
  if (uv_err_name_r != NULL)
    uv_err_name_r(-error, name, length);
  else
    snprintf(name, length, "ERRNO_%d", error);
}

napi_value snap_throw_errno(napi_env env, int error, const char *syscall_name) {
  char code[32], reason[96] = "", message[192];
  snap_errno_name(error, code, sizeof code);
  if (uv_strerror_r != NULL) uv_strerror_r(-error, reason, sizeof reason);
  snprintf(message, sizeof message, "%s: %s, %s", code, reason, syscall_name);
  return snap_throw(env, code, syscall_name, message);
}

static void set_string(napi_env env, napi_value object, const char *name, const char *text) {
  napi_value value;
  if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok)
    napi_set_named_property(env, object, name, value);
}

napi_value snap_throw(napi_env env, const char *code, const char *syscall_name, const char *message) {
  napi_value text, error;
  if (napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text) != napi_ok ||
      napi_create_error(env, NULL, text, &error) != napi_ok)
    return NULL;
  set_string(env, error, "code", code);
  set_string(env, error, "syscall", syscall_name);
  napi_throw(env, error);
  return NULL;
}

napi_value snap_throw_type(napi_env env, const char *function, const char *expected) {
  char message[192];
  snprintf(message, sizeof message, "%s: expected %s", function, expected);
  return snap_throw(env, "ERR_INVALID_ARG_TYPE", function, message);
}

napi_value snap_throw_range(napi_env env, const char *function, const char *expected) {
  char message[192];
  snprintf(message, sizeof message, "%s: out of range; expected %s", function, expected);
  return snap_throw(env, "ERR_OUT_OF_RANGE", function, message);
}

napi_value snap_throw_no_buffer(napi_env env, napi_status status, const char *function) {
  char message[192];
  bool forbidden = status == napi_no_external_buffers_allowed;
  snprintf(message, sizeof message, "%s: %s", function,
           forbidden ? "this runtime does not allow an ArrayBuffer over memory of our own"
                     : "the runtime could not create the ArrayBuffer");
  return snap_throw(env, forbidden ? "ERR_NO_EXTERNAL_BUFFERS" : "ERR_NAPI", function, message);
}

napi_value snap_undefined(napi_env env) {
  napi_value value = NULL;
  napi_get_undefined(env, &value);
  return value;
}

napi_value snap_boolean(napi_env env, bool flag) {
  napi_value value = NULL;
  napi_get_boolean(env, flag, &value);
  return value;
}

napi_value snap_number(napi_env env, double number) {
  napi_value value = NULL;
  napi_create_double(env, number, &value);
  return value;
}
