/// Cores as control groups grant them, read from trees of both versions as containers and schedulers make
/// them.
#include "partita/base/cores.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <utility>
#include <vector>

namespace partita::base {
namespace {

namespace fs = std::filesystem;

class Cores : public testing::Test {
 protected:
  Cores() { fs::remove_all(root_); }
  ~Cores() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void version_2(const std::string& own, const std::string& tree = "/") const {
    write("proc/self/mountinfo", "22 1 0:20 / /proc rw - proc proc rw\n30 23 0:26 " + tree +
                                     " /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
    write("proc/self/cgroup", "0::" + own + "\n");
  }
  void version_1(const std::string& own, const std::string& tree) const {
    write("proc/self/mountinfo",
          "33 24 0:29 " + tree +
              " /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n34 24 0:30 " + tree +
              " /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n");
    write("proc/self/cgroup", "9:cpuset:/elsewhere\n4:cpu,cpuacct:" + own + "\n0::/\n");
  }
  [[nodiscard]] std::vector<double> cores() const {
    std::vector<double> found;
    for (const auto& limit : cpu_limits(root_))
      found.push_back(limit.cores);
    return found;
  }

  fs::path root_ = fs::temp_directory_path() / ("cores." + std::to_string(getpid()));
};

using Values = std::vector<double>;

TEST_F(Cores, AreUnlimitedWithoutGroups) {
  EXPECT_EQ(cores(), Values{});
  version_2("/job");
  EXPECT_EQ(cores(), Values{}) << "no files";
  write("sys/fs/cgroup/job/cpu.max", "max 100000\n");
  EXPECT_EQ(cores(), Values{});
}

TEST_F(Cores, OfVersion2FromTheOwnGroupOutwards) {
  version_2("/job_7/step_0");
  write("sys/fs/cgroup/job_7/step_0/cpu.max", "150000 100000\n");
  write("sys/fs/cgroup/job_7/cpu.max", "100000 100000\n");
  EXPECT_EQ(cores(), (Values{1.5, 1}));
}

TEST_F(Cores, OfAContainerThatIsTheTopOfItsTree) {
  version_2("/");
  write("sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(cores(), Values{2});
  version_2("/../../init");  // the process was moved out of what the mount shows
  EXPECT_EQ(cores(), Values{2});
}

TEST_F(Cores, OfVersion1) {
  version_1("/docker/7f/inner", "/docker/7f");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "100000\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "50000\n");
  write("sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores(), Values{2});
  write("sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_quota_us", "100000\n");
  EXPECT_EQ(cores(), (Values{1, 2}));
}

TEST_F(Cores, KnowWhichGroupsAreTheSame) {
  version_2("/job/a");
  write("sys/fs/cgroup/job/cpu.max", "100000 100000\n");
  const auto a = cpu_limits(root_);
  version_2("/job/b");
  const auto b = cpu_limits(root_);
  write("sys/fs/cgroup/job/b/cpu.max", "100000 100000\n");
  const auto limited = cpu_limits(root_);
  ASSERT_EQ(a.size(), 1u);
  ASSERT_EQ(limited.size(), 2u);
  EXPECT_EQ(a[0].group, b[0].group);
  EXPECT_EQ(a[0].group, limited[1].group);
  EXPECT_NE(limited[0].group, limited[1].group);
}

TEST_F(Cores, ShareCachesByCoresNotByTheirThreads) {
  const std::string cpu = "sys/devices/system/cpu/cpu0/";
  const auto cache = [&](int index, const std::string& type, const std::string& size,
                         const std::string& cpus) {
    const auto folder = cpu + "cache/index" + std::to_string(index) + "/";
    write(folder + "type", type + "\n");
    write(folder + "size", size + "\n");
    write(folder + "shared_cpu_list", cpus + "\n");
  };
  EXPECT_TRUE(data_caches(root_).empty());
  write(cpu + "topology/thread_siblings_list", "0,64\n");
  cache(0, "Data", "48K", "0,64");
  cache(1, "Instruction", "32K", "0,64");
  cache(2, "Unified", "2048K", "0,64");
  cache(3, "Unified", "32768K", "0-7,64-71");
  std::vector<std::pair<std::int64_t, int>> found;
  for (const auto& [bytes, cores] : data_caches(root_))
    found.emplace_back(bytes, cores);
  EXPECT_EQ(found, (std::vector<std::pair<std::int64_t, int>>{{48 << 10, 1}, {2 << 20, 1}, {32 << 20, 8}}));
  write(cpu + "cache/index2/size", "\n");
  EXPECT_TRUE(data_caches(root_).empty()) << "half of the truth is none";
}

int together(int bound, const std::vector<std::vector<CpuLimit>>& limits) {
  return cores_together(bound, limits);
}

TEST(CoresTogether, AreThoseOfTheMaskWithoutLimits) {
  EXPECT_EQ(together(8, {{}}), 8);
  EXPECT_EQ(together(8, {{}, {{.group = 1, .cores = 1}}}), 8) << "one process may use all";
}

TEST(CoresTogether, AreNeverFewerThanOne) {
  EXPECT_EQ(together(8, {{{.group = 1, .cores = 0.5}}}), 1);
  EXPECT_EQ(together(1, {{{.group = 1, .cores = 4}}}), 1);
}

TEST(CoresTogether, CountAGroupOnce) {
  const CpuLimit job{.group = 1, .cores = 2};
  EXPECT_EQ(together(8, {{job}}), 2);
  EXPECT_EQ(together(8, {{job}, {job}, {job}}), 2) << "three times two thirds";
  EXPECT_EQ(together(8, {{{.group = 1, .cores = 2}}, {{.group = 2, .cores = 2}}}), 4);
}

TEST(CoresTogether, AreBoundByTheTightestGroup) {
  const CpuLimit job{.group = 1, .cores = 3};
  EXPECT_EQ(together(8, {{{.group = 2, .cores = 1}, job}, {{.group = 3, .cores = 1}, job}}), 2);
  EXPECT_EQ(together(8, {{{.group = 2, .cores = 9}, job}, {{.group = 3, .cores = 9}, job}}), 3);
}

}  // namespace
}  // namespace partita::base
