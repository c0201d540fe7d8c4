// Sixteen numbers at a time: vectors of the processor by the extension that GCC and Clang share, without intrinsics.
#include <cmath>
#include <cstdint>
#include <cstring>

constexpr int TILE = 16;
#if defined(__AVX512F__)
constexpr int BYTES = 64;  // of a vector of the processor
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif

// The 16 pixels of a row of a tile, as vectors of the processor.
template <typename F> struct Lane {
  static constexpr int WIDTH = BYTES / (int)sizeof(F), PARTS = TILE / WIDTH;
  typedef F Part __attribute__((vector_size(BYTES)));
  Part part[PARTS];

  static Lane of(F value) {
    Lane out;
    for (int i = 0; i < PARTS; ++i) out.part[i] = Part{} + value;
    return out;
  }
  F* data() { return (F*)part; }
  const F* data() const { return (const F*)part; }
};
#define OPERATOR(o)                                                                                  \
  template <typename F> static inline Lane<F> operator o(Lane<F> a, const Lane<F>& b) {              \
    for (int i = 0; i < Lane<F>::PARTS; ++i) a.part[i] = a.part[i] o b.part[i];                      \
    return a;                                                                                        \
  }                                                                                                  \
  template <typename F> static inline Lane<F> operator o(Lane<F> a, F b) {                           \
    for (int i = 0; i < Lane<F>::PARTS; ++i) a.part[i] = a.part[i] o b;                              \
    return a;                                                                                        \
  }                                                                                                  \
  template <typename F, typename B> static inline Lane<F>& operator o##=(Lane<F>& a, const B& b) { return a = a o b; }
OPERATOR(+)
OPERATOR(-)
OPERATOR(*)
OPERATOR(/)

template <typename F> static inline Lane<F> at_most(Lane<F> a, F limit) {
  const typename Lane<F>::Part most = Lane<F>::of(limit).part[0];
  for (auto& p : a.part) p = p < most ? p : most;
  return a;
}

// a where x > limit, else 0; the next: where x >= limit.
template <typename F> static inline Lane<F> where_above(Lane<F> a, const Lane<F>& x, F limit) {
  const typename Lane<F>::Part least = Lane<F>::of(limit).part[0];
  for (int i = 0; i < Lane<F>::PARTS; ++i) a.part[i] = x.part[i] > least ? a.part[i] : typename Lane<F>::Part{};
  return a;
}

template <typename F> static inline Lane<F> where_at_least(Lane<F> a, const Lane<F>& x, F limit) {
  const typename Lane<F>::Part least = Lane<F>::of(limit).part[0];
  for (int i = 0; i < Lane<F>::PARTS; ++i) a.part[i] = x.part[i] >= least ? a.part[i] : typename Lane<F>::Part{};
  return a;
}

// exp of numbers up to 1, to 2e-7 of its value (the polynomial of Cephes).
static inline Lane<float> exponential(Lane<float> x) {
  typedef int32_t Int __attribute__((vector_size(BYTES)));
  for (auto& p : x.part) {
    const Lane<float>::Part low = Lane<float>::of(-87.0f).part[0];
    const auto v = p > low ? p : low;
    const auto n = (v * 1.44269504089f + 12582912.0f) - 12582912.0f;
    const auto r = (v - n * 0.693359375f) + n * 2.12194440e-4f;
    auto e = r * 1.9875691500e-4f + 1.3981999507e-3f;
    e = e * r + 8.3334519073e-3f;
    e = e * r + 4.1665795894e-2f;
    e = e * r + 1.6666665459e-1f;
    e = e * r + 5.0000001201e-1f;
    e = (e * r) * r + r + 1.0f;
    const Int power = (__builtin_convertvector(n, Int) + 127) << 23;
    p = e * (Lane<float>::Part)power;
  }
  return x;
}

static inline Lane<double> exponential(Lane<double> x) {
  for (int i = 0; i < TILE; ++i) x.data()[i] = std::exp(x.data()[i]);
  return x;
}

template <typename F> static inline F sum(const Lane<F>& v) {
  auto part = v.part[0];
  for (int i = 1; i < Lane<F>::PARTS; ++i) part += v.part[i];
  F lanes[Lane<F>::WIDTH];
  std::memcpy(lanes, &part, sizeof(part));
  for (int width = Lane<F>::WIDTH / 2; width; width /= 2)
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  return lanes[0];
}
