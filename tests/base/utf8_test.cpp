/// Text of any bytes through UTF-8 and back.
#include "partita/base/utf8.hpp"

#include <gtest/gtest.h>

#include <random>

namespace partita::base {
namespace {

TEST(Utf8, LeavesValidTextAlone) {
  for (const std::string text : {"", "plain", "schön € 𝄞", "C:\\runs\\xyz\\x4", "\\x", "\n\t\x7f"}) {
    EXPECT_EQ(as_utf8(text), text);
    EXPECT_EQ(from_utf8(text), text);
  }
}

TEST(Utf8, EscapesEachByteThatIsNone) {
  EXPECT_EQ(as_utf8("caf\xe9"), "caf\\xe9");
  EXPECT_EQ(as_utf8("\xc3"), "\\xc3") << "cut short";
  EXPECT_EQ(as_utf8("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
  EXPECT_EQ(as_utf8("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(as_utf8("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond U+10FFFF";
  EXPECT_EQ(as_utf8("\\xe9"), "\\x5cxe9") << "what looks like an escape";
  EXPECT_EQ(as_utf8("\\\xe9"), "\\\\xe9");
}

TEST(Utf8, EscapesControlCharactersOfALine) {
  EXPECT_EQ(as_line("a\nb\t\x1b[31m\x7f"), "a\\x0ab\\x09\\x1b[31m\\x7f");
  EXPECT_EQ(as_line("schön\xe9"), "schön\\xe9");
  EXPECT_EQ(from_utf8(as_line("a\n\\x0a")), "a\n\\x0a");
  // A terminal takes U+009B for an escape and "["; U+0085, U+2028 and U+2029 begin lines.
  EXPECT_EQ(as_line("\u009b31m \u0085 \u2028 \u2029"),
            "\\xc2\\x9b31m \\xc2\\x85 \\xe2\\x80\\xa8 \\xe2\\x80\\xa9");
  EXPECT_EQ(from_utf8(as_line("a\u0080\u009f\u2029")), "a\u0080\u009f\u2029");
  EXPECT_EQ(as_line("\u00a0 \u2027 \u202a é"), "\u00a0 \u2027 \u202a é") << "their neighbours";
}

TEST(Utf8, GivesBackEveryText) {
  std::mt19937 random(7);
  const std::string pieces[] = {"\\", "x", "e", "9", "5c", "\xe9", "\xc3", "\xa9", "€", "\x80", "\xf0\x9f"};
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (auto n = random() % 9; n-- > 0;)
      text += pieces[random() % std::size(pieces)];
    const auto escaped = as_utf8(text);
    ASSERT_EQ(from_utf8(escaped), text) << escaped;
    ASSERT_EQ(from_utf8(as_utf8(escaped)), escaped);
  }
}

}  // namespace
}  // namespace partita::base
