/*
 * Reseeds the OpenSSL that this very process uses for node:crypto.
 *
 * OpenSSL 3 has a tree of generators: one primary, which alone draws from the kernel, and two of each thread below it.
 * RAND_poll() reseeds the primary, and that makes every other one reseed from it at its next use, in all threads.
 *
 * Prototypes by hand (openssl/rand.h, openssl/evp.h, openssl/core.h of 3.0), so that no headers are needed. Weak, so
 * that a Node that was linked with another library says "missing" and still loads the addon. RAND_poll alone would not
 * tell: BoringSSL and AWS-LC have it, as a function that does nothing.
 */
#include "addon.h"

typedef struct evp_rand_ctx_st EVP_RAND_CTX;
typedef struct ossl_param_st {
  const char *key;
  unsigned int data_type;
  void *data;
  size_t data_size;
  size_t return_size;
} OSSL_PARAM;

#define OSSL_PARAM_UNSIGNED_INTEGER 2 /* openssl/core.h */
#define OSSL_PARAM_UNMODIFIED ((size_t)-1) /* openssl/params.h */

extern int RAND_poll(void) __attribute__((weak));
extern EVP_RAND_CTX *RAND_get0_primary(void *library_context) __attribute__((weak));
extern int EVP_RAND_CTX_get_params(EVP_RAND_CTX *context, OSSL_PARAM params[]) __attribute__((weak));

static bool is_openssl3(void) {
  return RAND_poll != NULL && RAND_get0_primary != NULL && EVP_RAND_CTX_get_params != NULL;
}

/* How often the primary generator was seeded. false: it does not say. */
static bool reseed_count(unsigned int *count) {
  /* The name is OSSL_DRBG_PARAM_RESEED_COUNTER in openssl/core_names.h. */
  OSSL_PARAM params[2] = {
      {"reseed_counter", OSSL_PARAM_UNSIGNED_INTEGER, count, sizeof *count, OSSL_PARAM_UNMODIFIED},
      {NULL, 0, NULL, 0, 0},
  };
  EVP_RAND_CTX *primary = RAND_get0_primary(NULL);
  return primary != NULL && EVP_RAND_CTX_get_params(primary, params) == 1 &&
         params[0].return_size != OSSL_PARAM_UNMODIFIED;
}

/* false covers a missing OpenSSL too: this is called while modules load, where an exception would be worse than "no". */
napi_value snap_reseed_openssl(napi_env env, napi_callback_info info) {
  (void)info;
  unsigned int before = 0, after = 0;
  if (!is_openssl3() || !reseed_count(&before)) return snap_boolean(env, false);
  /* RAND_poll() of OpenSSL 3 returns 1 even when the reseed failed; the counter is what proves it. */
  return snap_boolean(env, RAND_poll() == 1 && reseed_count(&after) && after != before);
}

napi_value snap_openssl_reseed_count(napi_env env, napi_callback_info info) {
  (void)info;
  unsigned int count = 0;
  return is_openssl3() && reseed_count(&count) ? snap_number(env, count) : snap_undefined(env);
}
