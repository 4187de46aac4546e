/// Preloaded: every file takes a tenth of a second more to reach the disk.
#include <dlfcn.h>
#include <unistd.h>

extern "C" int fsync(int descriptor) {
  static const auto real = reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, "fsync"));
  usleep(100'000);
  return real(descriptor);
}
