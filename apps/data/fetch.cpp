/// The sources that are known, with the digest of every file, and how one file is fetched from the first
/// mirror that delivers it: continued where it broke off, begun again where the digest is wrong.
#include "fetch.hpp"

#include <curl/curl.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>

#include "partita/base/digest.hpp"
#include "partita/base/error.hpp"
#include "partita/base/handle.hpp"
#include "partita/base/paths.hpp"

namespace partita::app {
namespace {

namespace fs = std::filesystem;

struct CurlTraits {
  using Handle = CURL*;
  static Handle null() { return nullptr; }
  static void close(Handle handle) noexcept { curl_easy_cleanup(handle); }
};

struct FileTraits {
  using Handle = std::FILE*;
  static Handle null() { return nullptr; }
  static void close(Handle handle) noexcept { std::fclose(handle); }
};

std::size_t write_to_file(char* bytes, std::size_t size, std::size_t count, void* file) {
  return std::fwrite(bytes, size, count, static_cast<std::FILE*>(file));
}

template <class Value>
void set(CURL* curl, CURLoption option, Value value) {
  const auto code = curl_easy_setopt(curl, option, value);
  if (code != CURLE_OK) throw base::EnvironmentError("curl_easy_setopt", code, curl_easy_strerror(code));
}

/// Addresses of this program are http, https and file; a redirection may not lead to a local file.
void configure(CURL* curl, const std::string& address, std::FILE* file, curl_off_t already) {
  set(curl, CURLOPT_URL, address.c_str());
#if LIBCURL_VERSION_NUM >= 0x075500
  set(curl, CURLOPT_PROTOCOLS_STR, "http,https,file");
  set(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
  set(curl, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS | CURLPROTO_FILE));
  set(curl, CURLOPT_REDIR_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  set(curl, CURLOPT_FOLLOWLOCATION, 1L);
  set(curl, CURLOPT_MAXREDIRS, 5L);
  set(curl, CURLOPT_FAILONERROR, 1L);
  set(curl, CURLOPT_NOSIGNAL, 1L);
  set(curl, CURLOPT_CONNECTTIMEOUT, 20L);
  set(curl, CURLOPT_LOW_SPEED_LIMIT, 100L);  // bytes per second, over
  set(curl, CURLOPT_LOW_SPEED_TIME, 60L);    // seconds
  set(curl, CURLOPT_RESUME_FROM_LARGE, already);
  set(curl, CURLOPT_WRITEFUNCTION, &write_to_file);
  set(curl, CURLOPT_WRITEDATA, file);
}

/// Appends what `part` lacks. Returns an empty text, or why the transfer failed.
std::string download(const std::string& address, const fs::path& part) {
  const base::UniqueHandle<FileTraits> file(std::fopen(part.c_str(), "ab"));
  if (!file) base::refuse_path(part, std::string("cannot be written: ") + std::strerror(errno));
  const auto already = static_cast<curl_off_t>(base::size_of(part));
  const base::UniqueHandle<CurlTraits> curl(curl_easy_init());
  if (!curl) throw base::EnvironmentError("curl_easy_init", 0, "no handle");
  std::array<char, CURL_ERROR_SIZE> detail{};
  configure(curl.get(), address, file.get(), already);
  set(curl.get(), CURLOPT_ERRORBUFFER, detail.data());
  const auto code = curl_easy_perform(curl.get());
  if (std::fflush(file.get()) != 0 || ::fsync(fileno(file.get())) != 0)
    throw base::EnvironmentError("fsync", errno, part.string() + ": " + std::strerror(errno));
  if (code == CURLE_OK) return "";
  return detail[0] != 0 ? detail.data() : curl_easy_strerror(code);
}

/// Moves a complete and right `part` to its name.
bool accept(const fs::path& part, const fs::path& file, const std::string& sha256) {
  if (!base::exists(part) || base::sha256_of_file(part) != sha256) return false;
  base::refuse_path(part, base::rename_file(part, file));
  return true;
}

/// One mirror: continues the partial file, and begins again when the result is wrong.
std::string try_mirror(const std::string& address, const fs::path& part, const fs::path& file,
                       const std::string& sha256) {
  const auto remove = [&] { base::refuse_path(part, base::remove_file(part)); };
  const bool resumed = base::size_of(part) > 0;
  std::string failure = download(address, part);
  if (accept(part, file, sha256)) return "";
  if (resumed) {  // the part was damaged, already too long, or the server cannot continue
    remove();
    failure = download(address, part);
    if (accept(part, file, sha256)) return "";
  }
  if (!failure.empty()) {  // what arrived is kept for another attempt
    if (base::size_of(part) == 0) remove();
    return failure;
  }
  const auto digest = base::sha256_of_file(part);
  remove();
  return "the content has SHA-256 " + digest + ", expected " + sha256;
}

std::string join(std::string mirror, const std::string& name) {
  if (!mirror.empty() && mirror.back() != '/') mirror += '/';
  return mirror + name;
}

}  // namespace

std::string libcurl_version() { return curl_version_info(CURLVERSION_NOW)->version; }

std::span<const Source> known_sources() {
  static const std::array<Source, 4> sources{{
      {.name = "mnist",
       .files = {{"train-images-idx3-ubyte.gz",
                  "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
                 {"train-labels-idx1-ubyte.gz",
                  "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
                 {"t10k-images-idx3-ubyte.gz",
                  "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
                 {"t10k-labels-idx1-ubyte.gz",
                  "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"}},
       .mirrors = {"https://ossci-datasets.s3.amazonaws.com/mnist/",
                   "https://storage.googleapis.com/cvdf-datasets/mnist/"}},
      {.name = "fashion-mnist",
       .files = {{"train-images-idx3-ubyte.gz",
                  "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"},
                 {"train-labels-idx1-ubyte.gz",
                  "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
                 {"t10k-images-idx3-ubyte.gz",
                  "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
                 {"t10k-labels-idx1-ubyte.gz",
                  "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"}},
       .mirrors = {"https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                   "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"}},
      {.name = "cifar-10",
       .files = {{"cifar-10-binary.tar.gz",
                  "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}},
       .mirrors = {"https://www.cs.toronto.edu/~kriz/"},
       .is_archive = true},
      {.name = "cifar-100",
       .files = {{"cifar-100-binary.tar.gz",
                  "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"}},
       .mirrors = {"https://www.cs.toronto.edu/~kriz/"},
       .is_archive = true},
  }};
  return sources;
}

const Source* find_source(std::string_view name) {
  for (const auto& source : known_sources())
    if (source.name == name) return &source;
  return nullptr;
}

void fetch_file(const PinnedFile& pinned, std::span<const std::string> mirrors, const fs::path& folder,
                const Report& report) {
  const fs::path file = folder / pinned.name, part = folder / (pinned.name + ".part");
  std::error_code unseen;
  for (const auto& path : {file, part})
    if (fs::is_directory(path, unseen)) base::refuse_path(path, "is a folder, where a file is to be");
  if (base::exists(file)) {
    const auto digest = base::sha256_of_file(file);
    if (digest != pinned.sha256)
      throw FetchError(file.string() + " is there with SHA-256 " + digest + ", expected " + pinned.sha256 +
                       "; move it away to fetch it again");
    return report(file.string() + ": present and right");
  }
  base::refuse_path(folder, base::make_folders(folder));
  base::refuse_path(folder, base::folder_problem(folder));
  if (accept(part, file, pinned.sha256)) return report(file.string() + ": completed before");
  std::string attempts;
  for (const auto& mirror : mirrors) {
    const auto address = join(mirror, pinned.name);
    report("fetching " + address);
    const auto failure = try_mirror(address, part, file, pinned.sha256);
    if (failure.empty()) return report(file.string() + ": fetched and right");
    const auto attempt = address + ": " + failure;
    report(attempt);
    attempts.append("\n  ").append(attempt);
  }
  throw FetchError(pinned.name + " could not be fetched:" + attempts);
}

}  // namespace partita::app
