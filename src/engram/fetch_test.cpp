#include "engram/fetch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "core/rng.h"
#include "tensor/dequantize.h"
#include "tensor/quantize.h"

namespace mneme::engram {
namespace {

using tensor::DType;

// A table file with something before and behind the rows, gone with the test.
class TableFile {
 public:
  TableFile(DType type, uint64_t rows, uint32_t width, uint64_t offset = 77) {
    static int number = 0;
    const auto name = "mneme_engram_" + std::to_string(::getpid()) + "_" + std::to_string(number++);
    source_ = {(std::filesystem::temp_directory_path() / name).string(), offset, type, rows, width};
    core::Rng rng(rows + width);
    std::vector<float> values(rows * width);
    for (float& value : values) value = rng.next_unit() * 8 - 4;
    bytes_ = tensor::quantize(type, values);
    std::ofstream file(source_.path, std::ios::binary);
    file << std::string(offset, 'x');
    file.write(reinterpret_cast<const char*>(bytes_.data()), static_cast<std::streamsize>(bytes_.size()));
  }
  ~TableFile() { std::filesystem::remove(source_.path); }

  const TableSource& source() const { return source_; }
  std::vector<float> values(std::span<const uint64_t> rows) const {
    const size_t bytes = *tensor::row_bytes(source_.type, source_.width);
    std::vector<float> out(rows.size() * source_.width);
    for (size_t i = 0; i < rows.size(); ++i)
      tensor::dequantize(source_.type, std::span(bytes_).subspan(rows[i] * bytes, bytes),
                         std::span(out).subspan(i * source_.width, source_.width));
    return out;
  }
  void drop_page_cache() const {
    const int descriptor = ::open(source_.path.c_str(), O_RDONLY);
    ::fsync(descriptor);
    ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    ::close(descriptor);
  }
  void truncate(uint64_t bytes) const { std::filesystem::resize_file(source_.path, bytes); }

 private:
  TableSource source_;
  std::vector<std::byte> bytes_;
};

std::vector<uint64_t> random_rows(core::Rng& rng, uint64_t rows, size_t count) {
  std::vector<uint64_t> out(count);
  for (uint64_t& row : out) row = rng.next_below(static_cast<uint32_t>(rows));
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * 4) == 0);
}

std::vector<float> fetched(Fetch& fetch, std::span<const uint64_t> rows, uint32_t width) {
  std::vector<float> out(rows.size() * width, -1.0f);
  fetch.begin(rows);
  const auto read = fetch.wait(out);
  EXPECT_TRUE(read) << read.error().message;
  return out;
}

// Batches below and above what begin() announces itself, from a cold and a warm page cache.
TEST(Fetch, DiskAndMemoryGiveTheSameBits) {
  for (const DType type : {DType::kQ8_0, DType::kF16, DType::kF32}) {
    for (const uint32_t width : {32u, 96u}) {
      const uint64_t count = 20011;
      const TableFile file(type, count, width);
      const auto memory = Table::open(file.source(), Placement::kMemory);
      const auto disk = Table::open(file.source(), Placement::kDisk);
      ASSERT_TRUE(memory && disk);
      EXPECT_EQ((*disk)->memory_bytes(), 0u);
      EXPECT_GE((*memory)->memory_bytes(), count * (*memory)->row_bytes());
      auto from_memory = Fetch::create(**memory, 3000), from_disk = Fetch::create(**disk, 3000);
      ASSERT_TRUE(from_memory && from_disk);
      core::Rng rng(width);
      for (const size_t batch : {1, 0, 8, 64, 65, 3000, 8, 1000}) {
        auto rows = random_rows(rng, count, batch);
        if (batch > 1) rows.front() = count - 1, rows.back() = 0;
        file.drop_page_cache();
        const auto expected = file.values(rows);
        EXPECT_TRUE(same_bits(fetched(**from_disk, rows, width), expected)) << batch << " cold";
        EXPECT_TRUE(same_bits(fetched(**from_disk, rows, width), expected)) << batch << " warm";
        EXPECT_TRUE(same_bits(fetched(**from_memory, rows, width), expected)) << batch;
      }
    }
  }
}

TEST(Fetch, RepeatedRowsAreAllServed) {
  const TableFile file(DType::kQ8_0, 50, 32);
  for (const Placement placement : {Placement::kMemory, Placement::kDisk}) {
    const auto table = Table::open(file.source(), placement);
    auto fetch = Fetch::create(**table, 4096);
    core::Rng rng(1);
    for (const size_t batch : {40, 4096}) {
      const auto rows = random_rows(rng, 50, batch);
      EXPECT_TRUE(same_bits(fetched(**fetch, rows, 32), file.values(rows)));
      const std::vector<uint64_t> same(batch, 49);
      EXPECT_TRUE(same_bits(fetched(**fetch, same, 32), file.values(same)));
    }
  }
}

// Two layers' fetches over one table and a second thread with its own: for ThreadSanitizer above all.
TEST(Fetch, ManyInFlight) {
  const TableFile file(DType::kF16, 5000, 32);
  const auto table = Table::open(file.source(), Placement::kDisk);
  const auto work = [&](uint64_t seed) {
    auto one = Fetch::create(**table, 512), two = Fetch::create(**table, 512);
    core::Rng rng(seed);
    for (int round = 0; round < 60; ++round) {
      const auto rows_one = random_rows(rng, 5000, round % 2 == 0 ? 512 : 8);
      const auto rows_two = random_rows(rng, 5000, round % 3 == 0 ? 16 : 300);
      std::vector<float> out_one(rows_one.size() * 32), out_two(rows_two.size() * 32);
      if (round % 10 == 0) file.drop_page_cache();
      (*one)->begin(rows_one);
      (*two)->begin(rows_two);
      EXPECT_TRUE((*two)->wait(out_two));
      EXPECT_TRUE((*one)->wait(out_one));
      EXPECT_TRUE(same_bits(out_one, file.values(rows_one)));
      EXPECT_TRUE(same_bits(out_two, file.values(rows_two)));
    }
  };
  std::thread other(work, 1);
  work(2);
  other.join();
}

TEST(Fetch, MayBeDroppedInFlight) {
  const TableFile file(DType::kQ8_0, 30000, 32);
  core::Rng rng(5);
  for (const Placement placement : {Placement::kMemory, Placement::kDisk}) {
    const auto table = Table::open(file.source(), placement);
    for (const size_t batch : {0, 8, 4000}) {
      auto fetch = Fetch::create(**table, 4000);
      file.drop_page_cache();
      (*fetch)->begin(random_rows(rng, 30000, batch));
    }
  }
}

// The file is cut while it is in use: an error that names it, and rows that are still there still come.
TEST(Fetch, ATruncatedFileIsAnErrorAndNoMore) {
  const TableFile file(DType::kQ8_0, 10000, 32);
  const auto table = Table::open(file.source(), Placement::kDisk);
  auto fetch = Fetch::create(**table, 1000);
  file.truncate(77 + 5000 * 34 + 20);  // within row 5000
  core::Rng rng(6);
  for (const size_t batch : {8, 1000}) {
    auto rows = random_rows(rng, 5000, batch);
    rows[batch / 2] = 5000;
    std::vector<float> out(batch * 32);
    (*fetch)->begin(rows);
    const auto read = (*fetch)->wait(out);
    ASSERT_FALSE(read);
    EXPECT_NE(read.error().message.find(file.source().path), std::string::npos) << read.error().message;
    EXPECT_NE(read.error().message.find("14 more expected"), std::string::npos) << read.error().message;
    rows[batch / 2] = 4999;
    EXPECT_TRUE(same_bits(fetched(**fetch, rows, 32), file.values(rows)));
  }
}

TEST(Table, RefusesWrongSourcesWithTheirName) {
  const TableFile file(DType::kQ8_0, 100, 64, 33);
  const auto refused = [&](auto change, const char* why) {
    for (const Placement placement : {Placement::kMemory, Placement::kDisk}) {
      TableSource source = file.source();
      change(source);
      const auto table = Table::open(source, placement);
      ASSERT_FALSE(table) << why;
      EXPECT_NE(table.error().message.find(source.path), std::string::npos) << table.error().message;
      EXPECT_NE(table.error().message.find(why), std::string::npos) << table.error().message;
    }
  };
  EXPECT_TRUE(Table::open(file.source(), Placement::kDisk));
  refused([](TableSource& s) { s.path += "_missing"; }, "No such file");
  refused([](TableSource& s) { s.rows += 1; }, "too short");
  refused([](TableSource& s) { s.rows = 0xFFFFFFFFFFFFFFFFull; }, "too short");
  refused([](TableSource& s) { s.offset += 1; }, "too short");
  refused([](TableSource& s) { s.offset = 0xFFFFFFFFFFFFFFFFull; }, "too short");
  refused([](TableSource& s) { s.rows = 0; }, "without rows");
  refused([](TableSource& s) { s.width = 0; }, "multiple of 32");
  refused([](TableSource& s) { s.width = 48; }, "multiple of 32");
  refused([](TableSource& s) { s.width = 0xFFFFFFE0u; }, "too short");
  refused([](TableSource& s) { s.type = DType::kQ4_0; }, "Q4_0");
}

TEST(FetchDeathTest, MisuseIsABug) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const TableFile file(DType::kQ8_0, 100, 32);
  for (const Placement placement : {Placement::kMemory, Placement::kDisk}) {
    const auto table = Table::open(file.source(), placement);
    auto fetch = Fetch::create(**table, 4);
    std::vector<float> out(4 * 32);
    const std::vector<uint64_t> five(5, 1), outside = {100}, one = {1};
    const auto in_child = [&]() -> Fetch& {  // which leaves no file behind
      std::filesystem::remove(file.source().path);
      return **fetch;
    };
    EXPECT_DEATH(in_child().begin(five), "5 rows, 4 at most");
    EXPECT_DEATH(in_child().begin(outside), "row 100 of 100");
    EXPECT_DEATH((void)in_child().wait(out), "0 rows in flight");
    (*fetch)->begin(one);
    EXPECT_DEATH(in_child().begin(one), "in flight");
    EXPECT_DEATH((void)in_child().wait(out), "1 rows in flight");
  }
}

size_t resident_bytes() {
  size_t pages_all = 0, pages_resident = 0;
  std::ifstream("/proc/self/statm") >> pages_all >> pages_resident;
  return pages_resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

// 64 MiB of rows pass through; what stays is the buffers of one batch.
TEST(Fetch, DiskPlacementDoesNotGrowResidentMemory) {
  const uint64_t count = 524288;
  const TableFile file(DType::kF32, 1, 32, 0);
  file.truncate(count * 128);
  TableSource source = file.source();
  source.rows = count;
  const auto table = Table::open(source, Placement::kDisk);
  auto fetch = Fetch::create(**table, 4096);
  std::vector<uint64_t> rows(4096);
  std::vector<float> out(4096 * 32);
  size_t start = 0;
  for (uint64_t first = 0; first < count; first += 4096) {
    for (uint64_t i = 0; i < 4096; ++i) rows[i] = first + i;
    (*fetch)->begin(rows);
    ASSERT_TRUE((*fetch)->wait(out));
    if (first == 0) start = resident_bytes();  // with the buffers of one batch
  }
  EXPECT_LT(resident_bytes(), start + (size_t{4} << 20));
}

}  // namespace
}  // namespace mneme::engram
