/// Makes sure that a program never ends with success when its output did not arrive: every write to standard
/// output is watched, and closing it is tried at the end. A reader that stops early (EPIPE) is no fault.
#include "partita/command_line/program.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <streambuf>

#include "partita/base/error.hpp"

namespace partita::command_line {
namespace {

/// Passes all on to the buffer of a stream and keeps why that first refused.
class Watched final : public std::streambuf {
 public:
  explicit Watched(std::ostream& stream) : stream_(stream), behind_(stream.rdbuf(this)) {}
  ~Watched() override { stream_.rdbuf(behind_); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  /// An errno; 0: nothing was refused.
  [[nodiscard]] int refusal() const { return refusal_; }

 private:
  int overflow(int c) override {
    errno = 0;
    return traits_type::eq_int_type(c, traits_type::eof())
               ? traits_type::not_eof(c)
               : note(behind_->sputc(traits_type::to_char_type(c)), traits_type::eof());
  }
  std::streamsize xsputn(const char* text, std::streamsize count) override {
    errno = 0;
    const auto written = behind_->sputn(text, count);
    note(written == count ? 0 : -1, -1);
    return written;
  }
  int sync() override {
    errno = 0;
    return note(behind_->pubsync(), -1);
  }
  int note(int result, int failure) {
    if (result == failure && refusal_ == 0) refusal_ = errno != 0 ? errno : EIO;
    return result;
  }

  std::ostream& stream_;
  std::streambuf* behind_;
  int refusal_ = 0;
};

/// A file that is opened must not become one of the standard streams: where one is closed, something that
/// refuses to be written takes its number, the lowest that is free.
void keep_standard_descriptors() {
  int descriptor = 0;
  while (descriptor >= 0 && descriptor <= STDERR_FILENO)
    descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) ::close(descriptor);
}

/// Why not all that was printed has arrived, as an errno; 0: it has.
int lost(const Watched& output) {
  std::cout.flush();
  if (output.refusal() != 0) return output.refusal();
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) return errno != 0 ? errno : EIO;
  // A network file system may say only now that it has no room.
  const int copy = ::dup(STDOUT_FILENO);
  return copy >= 0 && ::close(copy) != 0 ? errno : 0;
}

int guarded(std::string_view name, const std::function<int()>& work) {
  try {
    return work();
  } catch (const base::ConfigError& wrong) {
    std::cerr << name << ": " << wrong.what() << std::endl;
    return bad_input;
  } catch (const std::exception& failure) {
    std::cerr << name << ": " << failure.what() << std::endl;
    return failed;
  }
}

}  // namespace

int run(std::string_view name, const std::function<int()>& work) {
  keep_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  const Watched output(std::cout);
  const int code = guarded(name, work);
  const int refusal = lost(output);
  if (refusal == 0 || refusal == EPIPE) return code;
  std::cerr << name << ": cannot write to standard output: " << std::strerror(refusal) << std::endl;
  return code == success ? failed : code;
}

}  // namespace partita::command_line
