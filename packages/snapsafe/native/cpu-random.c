/*
 * Random bytes of the CPU: outside of the memory that a snapshot copies, hence different in every copy.
 *
 * Sources: Intel's "Digital Random Number Generator Software Implementation Guide" (retry limits); Arm ARM, RNDR and
 * FEAT_RNG. To be mixed with other input, never to be used alone.
 */
#include "addon.h"

#include <string.h>

#define MAX_CPU_RANDOM_BYTES 4096u

#if defined(__x86_64__)
#include <cpuid.h>

/* The guide says ten for RDRAND. RDSEED is a slow conditioner that all CPUs share: it needs pauses, and patience. */
#define RDRAND_TRIES 10
#define RDSEED_TRIES 100

static bool rdrand(uint64_t *word) {
  for (int i = 0; i < RDRAND_TRIES; i++) {
    unsigned char ok;
    __asm__ volatile("rdrand %0; setc %1" : "=r"(*word), "=qm"(ok) : : "cc");
    if (ok) return true;
  }
  return false;
}

static bool rdseed(uint64_t *word) {
  for (int i = 0; i < RDSEED_TRIES; i++) {
    unsigned char ok;
    __asm__ volatile("rdseed %0; setc %1" : "=r"(*word), "=qm"(ok) : : "cc");
    if (ok) return true;
    __asm__ volatile("pause");
  }
  return false;
}

typedef struct {
  bool seed, rand;
} cpu_features;

static bool detect(cpu_features *features) {
  unsigned int a, b, c, d;
  features->rand = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_RDRND);
  features->seed = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_RDSEED);
  return features->rand || features->seed;
}

static bool next_word(const cpu_features *features, uint64_t *word) {
  return (features->seed && rdseed(word)) || (features->rand && rdrand(word));
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

#define HWCAP2_RNG_BIT (1ul << 16) /* arch/arm64/include/uapi/asm/hwcap.h */
#define RNDR_TRIES 10

typedef struct {
  bool rng;
} cpu_features;

static bool detect(cpu_features *features) {
  features->rng = (getauxval(AT_HWCAP2) & HWCAP2_RNG_BIT) != 0;
  return features->rng;
}

static bool next_word(const cpu_features *features, uint64_t *word) {
  (void)features;
  for (int i = 0; i < RNDR_TRIES; i++) {
    uint32_t failed;
    /* RNDR by its encoding, so that any assembler takes it. It sets Z when it has nothing to give. */
    __asm__ volatile("mrs %0, s3_3_c2_c4_0\n\tcset %w1, eq" : "=r"(*word), "=r"(failed) : : "cc");
    if (!failed) return true;
  }
  return false;
}

#else

typedef struct {
  bool none;
} cpu_features;

static bool detect(cpu_features *features) {
  (void)features;
  return false;
}

static bool next_word(const cpu_features *features, uint64_t *word) {
  (void)features;
  (void)word;
  return false;
}
#endif

static bool fill(uint8_t *bytes, size_t length) {
  cpu_features features;
  if (!detect(&features)) return false;
  uint64_t word = 0, last = 0;
  for (size_t done = 0; done < length; done += sizeof word) {
    /* Broken generators are known to succeed with all zeros, all ones (AMD after suspend), or one value for ever. */
    if (!next_word(&features, &word) || word == 0 || word == UINT64_MAX || word == last) return false;
    size_t part = length - done < sizeof word ? length - done : sizeof word;
    memcpy(bytes + done, &word, part);
    last = word;
  }
  return true;
}

napi_value snap_cpu_random(napi_env env, napi_callback_info info) {
  napi_value argv[1], buffer, array;
  uint32_t length;
  void *bytes;
  if (!snap_arguments(env, info, 1, argv) ||
      !snap_take_u32(env, argv[0], "cpuRandom", "a number of bytes", &length))
    return NULL;
  if (length == 0 || length > MAX_CPU_RANDOM_BYTES) return snap_throw_range(env, "cpuRandom", "1 to 4096 bytes");
  if (napi_create_arraybuffer(env, length, &bytes, &buffer) != napi_ok) return NULL;
  if (!fill(bytes, length)) return snap_undefined(env);
  return napi_create_typedarray(env, napi_uint8_array, length, buffer, 0, &array) == napi_ok ? array : NULL;
}
