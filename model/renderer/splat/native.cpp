// Compositing of 2-D Gaussians in the order of drawing, tile by tile; see native.py for the arguments.
//
// A row of a tile is one vector of 16 pixels. Tiles are independent, and every pair of a tile and a Gaussian has its own
// place for its gradient: results do not depend on the number of threads.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "native_lane.h"

constexpr int BLOCK = BYTES / 8;  // channels whose sums stay in registers

template <typename F> struct Scene {
  const F *shapes, *heights, *colours;  // (B N, 6): mean x y, conic a b c, opacity; (B N); (B N, C)
  const int64_t *gaussian, *first;
  int channels, height, width, columns, tiles;  // tiles of one picture
  F alpha_min, alpha_max, stop;
};

template <typename F> struct Local {  // one Gaussian, places from the first pixel of the tile
  F x, y, xx, xy, yy, opacity;
};

// What a thread needs for a tile; grows to the largest one.
template <typename F> struct Work {
  Lane<F> column;                        // 0 .. 15
  std::vector<Local<F>> local;           // front to back
  std::vector<int32_t> row[TILE];        // those that reach a row
  std::vector<Lane<F>> alpha, weight;    // of a row's Gaussians; weight: alpha times what is left before
  std::vector<Lane<F>> by_channel;       // a row's gradient, a vector of pixels for each channel
  std::vector<Lane<F>> by_pixel;         // the same, vectors of channels for each pixel
  std::vector<Lane<F>> moments;          // of each Gaussian: sums of its gradient times 1, dy and dy dy
  std::vector<Lane<F>> g_colours;        // of each Gaussian: vectors of channels

  Work() { for (int i = 0; i < TILE; ++i) column.data()[i] = F(i); }

  void load(const Scene<F>& s, int64_t tile, int x0, int y0, int rows) {
    local.clear();
    for (auto& list : row) list.clear();
    for (int64_t pair = s.first[tile]; pair < s.first[tile + 1]; ++pair) {
      const F* g = s.shapes + 6 * s.gaussian[pair];
      const F x = g[0] - F(x0) - F(0.5), y = g[1] - F(y0) - F(0.5), a = g[2], b = g[3], c = g[4];
      const F half = s.heights[s.gaussian[pair]] + F(0.01);  // rounding drops no row
      const int from = std::max(0, (int)std::ceil(std::max(y - half, F(-1))));
      const int to = std::min(rows - 1, (int)std::floor(std::min(y + half, F(TILE))));
      for (int r = from; r <= to; ++r) row[r].push_back((int32_t)local.size());
      local.push_back({x, y, F(-0.5) * a, -b, F(-0.5) * c, g[5]});
    }
    size_t most = 0;
    for (const auto& list : row) most = std::max(most, list.size());
    if (alpha.size() < most) {
      alpha.resize(most);
      weight.resize(most);
    }
  }

  // Alphas and weights of row r; what is left behind all of them.
  Lane<F> walk(const Scene<F>& s, int r) {
    const Lane<F> one = Lane<F>::of(1);
    Lane<F> left = one, open = one;
    const int count = (int)row[r].size();
    for (int m = 0; m < count; ++m) {
      const Local<F>& g = local[row[r][m]];
      const Lane<F> dx = column - g.x;
      const F dy = F(r) - g.y;
      Lane<F> a = exponential(dx * (dx * g.xx + g.xy * dy) + g.yy * (dy * dy)) * g.opacity;
      a = at_most(a, s.alpha_max);
      a = where_at_least(a, a, s.alpha_min);
      Lane<F> after = left * (one - a);
      if (s.stop > 0) {
        open = where_above(open, after, s.stop);
        a *= open;
        after = left * (one - a);
      }
      alpha[m] = a;
      weight[m] = a * left;
      left = after;
    }
    return left;
  }
};

// Some channels of a row.
template <typename F, int COUNT>
static void add_colours(const Scene<F>& s, const Work<F>& w, const int64_t* gaussian, int r, int channel, Lane<F>* out) {
  Lane<F> acc[COUNT];
  for (int c = 0; c < COUNT; ++c) acc[c] = Lane<F>::of(0);
  const int count = (int)w.row[r].size();
  for (int m = 0; m < count; ++m) {
    const F* colour = s.colours + gaussian[w.row[r][m]] * s.channels + channel;
    const Lane<F> weight = w.weight[m];
    for (int c = 0; c < COUNT; ++c) acc[c] += weight * colour[c];
  }
  for (int c = 0; c < COUNT; ++c) out[c] = acc[c];
}

template <typename F>
static void forward_tile(const Scene<F>& s, Work<F>& w, int64_t tile, F* image, F* left) {
  const int64_t picture = tile / s.tiles;
  const int local = (int)(tile % s.tiles), x0 = local % s.columns * TILE, y0 = local / s.columns * TILE;
  const int rows = std::min(TILE, s.height - y0), columns = std::min(TILE, s.width - x0);
  w.load(s, tile, x0, y0, rows);
  const int64_t* gaussian = s.gaussian + s.first[tile];
  Lane<F> drawn[BLOCK];
  for (int r = 0; r < rows; ++r) {
    if (w.row[r].empty()) continue;
    const int64_t pixel = (picture * s.height + y0 + r) * s.width + x0;
    const Lane<F> last = w.walk(s, r);
    std::memcpy(left + pixel, last.data(), columns * sizeof(F));
    for (int channel = 0; channel < s.channels;) {
      const int some = s.channels - channel >= BLOCK ? BLOCK : 1;
      if (some == BLOCK)
        add_colours<F, BLOCK>(s, w, gaussian, r, channel, drawn);
      else
        add_colours<F, 1>(s, w, gaussian, r, channel, drawn);
      for (int i = 0; i < columns; ++i)
        for (int c = 0; c < some; ++c) image[(pixel + i) * s.channels + channel + c] = drawn[c].data()[i];
      channel += some;
    }
  }
}

// The gradient of every pair of a tile: mean x y, conic a b c, opacity, colours.
template <typename F>
static void backward_tile(const Scene<F>& s, Work<F>& w, int64_t tile, const F* g_image, const F* g_left, F* g_pairs) {
  const int64_t picture = tile / s.tiles;
  const int local = (int)(tile % s.tiles), x0 = local % s.columns * TILE, y0 = local / s.columns * TILE;
  const int rows = std::min(TILE, s.height - y0), columns = std::min(TILE, s.width - x0), C = s.channels;
  w.load(s, tile, x0, y0, rows);
  const int64_t* gaussian = s.gaussian + s.first[tile];
  const Lane<F> none = Lane<F>::of(0), one = Lane<F>::of(1);
  const int wide = (C + TILE - 1) / TILE;  // vectors of channels
  w.moments.assign(3 * w.local.size(), none);
  w.by_channel.resize(C);
  w.by_pixel.resize(TILE * wide);
  w.g_colours.assign(w.local.size() * wide, none);
  for (int r = 0; r < rows; ++r) {
    const int count = (int)w.row[r].size();
    if (!count) continue;
    const int64_t pixel = (picture * s.height + y0 + r) * s.width + x0;
    const F* g = g_image + pixel * C;
    std::fill(w.by_pixel.begin(), w.by_pixel.end(), none);
    std::fill(w.by_channel.begin(), w.by_channel.end(), none);
    for (int i = 0; i < columns; ++i) {
      std::memcpy(w.by_pixel[i * wide].data(), g + (int64_t)i * C, C * sizeof(F));
      for (int c = 0; c < C; ++c) w.by_channel[c].data()[i] = g[(int64_t)i * C + c];
    }
    Lane<F> behind = none;
    std::memcpy(behind.data(), g_left + pixel, columns * sizeof(F));
    behind *= w.walk(s, r);
    for (int m = count - 1; m >= 0; --m) {
      const int k = w.row[r][m];
      const F* colour = s.colours + gaussian[k] * C;
      Lane<F> even = none, odd = none;  // two sums, since each waits for itself
      for (int c = 0; c + 1 < C; c += 2) {
        even += w.by_channel[c] * colour[c];
        odd += w.by_channel[c + 1] * colour[c + 1];
      }
      if (C % 2) even += w.by_channel[C - 1] * colour[C - 1];
      const Lane<F> shown = w.weight[m] * (even + odd);
      const Lane<F> a = w.alpha[m], weight = w.weight[m];
      Lane<F> g_log = shown - behind * a / (one - a);  // by the logarithm of alpha
      g_log -= where_at_least(g_log, a, s.alpha_max);  // none where alpha is clamped
      behind += shown;
      Lane<F>* moment = &w.moments[3 * k];
      const F dy = F(r) - w.local[k].y;
      moment[0] += g_log;
      moment[1] += g_log * dy;
      moment[2] += g_log * (dy * dy);
      for (int v = 0; v < wide; ++v) {
        Lane<F> p = w.g_colours[k * wide + v], q = none;
        for (int i = 0; i < TILE; i += 2) {
          p += w.by_pixel[i * wide + v] * weight.data()[i];
          q += w.by_pixel[(i + 1) * wide + v] * weight.data()[i + 1];
        }
        w.g_colours[k * wide + v] = p + q;
      }
    }
  }
  for (size_t k = 0; k < w.local.size(); ++k) {
    const Local<F>& g = w.local[k];
    const Lane<F>* m = &w.moments[3 * k], dx = w.column - g.x;
    const F all = sum<F>(m[0]), sy = sum<F>(m[1]), syy = sum<F>(m[2]);
    const F sx = sum<F>(m[0] * dx), sxx = sum<F>(m[0] * dx * dx), sxy = sum<F>(m[1] * dx);
    F* out = g_pairs + (s.first[tile] + (int64_t)k) * (6 + C);
    out[0] = F(-2) * g.xx * sx - g.xy * sy;
    out[1] = -g.xy * sx - F(2) * g.yy * sy;
    out[2] = F(-0.5) * sxx;
    out[3] = -sxy;
    out[4] = F(-0.5) * syy;
    out[5] = g.opacity > 0 ? all / g.opacity : F(0);
    std::memcpy(out + 6, w.g_colours[k * wide].data(), C * sizeof(F));
  }
}

// Calls a function for all tiles that look at something, from some threads.
template <typename F, typename Function>
static void for_tiles(const Scene<F>& s, int64_t count, int threads, Function function) {
  constexpr int64_t SOME = 4;
  std::atomic<int64_t> next{0};
  auto run = [&] {
    Work<F> work;
    for (int64_t from; (from = next.fetch_add(SOME)) < count;)
      for (int64_t tile = from; tile < std::min(from + SOME, count); ++tile)
        if (s.first[tile + 1] > s.first[tile]) function(work, tile);
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(run);
  run();
  for (auto& other : others) other.join();
}

#define ARGUMENTS(F)                                                                                              \
  const F *shapes, const F *heights, const F *colours, const int64_t *gaussian, const int64_t *first, int64_t count, int channels, \
      int height, int width, double least, double most, double stop, int threads
#define SCENE(F)                                                                                              \
  const int columns = (width + TILE - 1) / TILE;                                                              \
  const Scene<F> s = {shapes, heights, colours, gaussian, first,                                channels, height,      \
                      width,  columns, columns * ((height + TILE - 1) / TILE), F(least), F(most),  F(stop)};
#define ENTRIES(F, NAME)                                                                                    \
  extern "C" void forward_##NAME(ARGUMENTS(F), F* image, F* left) {                                         \
    SCENE(F)                                                                                                \
    for_tiles<F>(s, count, threads, [&](Work<F>& w, int64_t tile) { forward_tile(s, w, tile, image, left); }); \
  }                                                                                                         \
  extern "C" void backward_##NAME(ARGUMENTS(F), const F* g_image, const F* g_left, F* g_pairs) {            \
    SCENE(F)                                                                                                \
    for_tiles<F>(s, count, threads,                                                                         \
                 [&](Work<F>& w, int64_t tile) { backward_tile(s, w, tile, g_image, g_left, g_pairs); });   \
  }
ENTRIES(float, f32)
ENTRIES(double, f64)
