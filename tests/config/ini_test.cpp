#include "partita/config/ini.hpp"

#include <gtest/gtest.h>

#include "partita/config/options.hpp"

namespace partita::config {
namespace {

/// A text with what is wrong with it.
struct Text {
  std::vector<base::Violation> violations;
  Ini ini;
  explicit Text(const std::string& text) { ini = parse_ini(text, "f.ini", violations); }
  /// "key=value|key=value".
  [[nodiscard]] std::string keys() const {
    std::string all;
    for (const auto& [key, value, line] : ini.assignments)
      all += (all.empty() ? "" : "|") + key + "=" + value;
    return all;
  }
  [[nodiscard]] std::string first() const { return violations.empty() ? "" : to_string(violations.front()); }
};

std::string keys_of(const std::string& text) {
  const Text read(text);
  EXPECT_EQ(read.first(), "");
  return read.keys();
}

TEST(Ini, ReadsWhatIsMeant) {
  EXPECT_EQ(keys_of("output = \"q.h5\"\n"), "output=q.h5");
  EXPECT_EQ(keys_of("output = s.h5 ; note\n"), "output=s.h5");
  EXPECT_EQ(keys_of("output = s.h5\t# note\n; a = b\n # c = d\n"), "output=s.h5");
  EXPECT_EQ(keys_of("output = 'a \"b\" ; c #d' # note"), "output=a \"b\" ; c #d");
  EXPECT_EQ(keys_of("output = run#3;b.h5"), "output=run#3;b.h5");
  EXPECT_EQ(keys_of("output ="), "output=");
  EXPECT_EQ(keys_of("output = # nothing"), "output=");
  EXPECT_EQ(keys_of("a = \" x \"\nb =  y\t \n\tc=z"), "a= x |b=y|c=z");
}

TEST(Ini, SectionsMayHaveBlanksAndComeTwice) {
  EXPECT_EQ(keys_of("x = 0\n [ a ] # first\nx = 1\n[b];no\n"), "x=0|a.x=1");
  EXPECT_EQ(keys_of("[a]\nx = 1\n[b]\nx = 2\n[a]\ny = 3"), "a.x=1|b.x=2|a.y=3");
}

TEST(Ini, LinesEndAsEveryEditorEndsThem) {
  EXPECT_EQ(keys_of("\xEF\xBB\xBF[a]\r\nx = 1\r\ny = 2\r\n"), "a.x=1|a.y=2");
  EXPECT_EQ(keys_of("[a]\rx = 1\ry = 2"), "a.x=1|a.y=2");
}

TEST(Ini, WhatIsNoTextIsSaidToBe) {
  const std::string wide("\xFF\xFE[\0a\0]\0", 8), wide_without_mark("[\0a\0]\0\n\0", 8);
  EXPECT_NE(Text(wide).first().find("UTF-16 text; save it as UTF-8"), std::string::npos);
  EXPECT_NE(Text("\xFE\xFF").first().find("UTF-16"), std::string::npos);
  EXPECT_NE(Text(wide_without_mark).first().find("NUL byte in line 1"), std::string::npos);
  EXPECT_NE(Text(std::string("a = 1\nb = \0", 11)).first().find("NUL byte in line 2"), std::string::npos);
  for (const auto& text : {wide, wide_without_mark})
    EXPECT_EQ(Text(text).violations.size(), 1U);
}

TEST(Ini, EveryBadLineIsNamed) {
  const Text text("[]\nx = 1\n[a\n[b]\n\"y\n= 2\nz = \"1\nz = \"1\" 2\nk\xC2\xA0 = 1\nw = 3");
  EXPECT_EQ(text.keys(), "b.w=3");
  EXPECT_EQ(text.violations.size(), 7U);
  EXPECT_FALSE(text.ini.whole);
  for (const auto& violation : text.violations)
    EXPECT_NE(violation.key.find("f.ini, line "), std::string::npos);
}

TEST(Ini, SpacesThatAreNoneAreNamedWithTheirPlace) {
  const std::pair<const char*, const char*> lines[] = {
      {"output = r.h5\u00A0", "has a no-break space (U+00A0) in column 14;"},
      {"output =\u00A0r.h5", "(U+00A0) in column 9;"},
      {"\u3000output = r.h5", "an ideographic space (U+3000) in column 1;"},
      {"output\u2003= r.h5", "an em space (U+2003) in column 7;"},
      {"output = é.h5\u00A0# note", "(U+00A0) in column 14;"},
      {"output = \"r.h5\"\u202F", "a narrow no-break space (U+202F) in column 16;"},
      {"layer = linear\u200910", "a thin space (U+2009) in column 15;"},
      {"[train]\u00A0\nbatch = 3", "(U+00A0) in column 8;"},
      {"\uFEFF# note", "a byte-order mark (U+FEFF) in column 1;"},
      {"\u00A0", "(U+00A0) in column 1;"}};
  for (const auto& [line, words] : lines) {
    const Text read(std::string("k = 1\n") + line);
    EXPECT_EQ(read.violations.size(), 1U) << line;
    EXPECT_NE(read.first().find("f.ini, line 2"), std::string::npos) << read.first();
    EXPECT_NE(read.first().find(words), std::string::npos) << read.first();
  }
  EXPECT_EQ(keys_of("output = '\u00A0a\u3000b.h5' # \u00A0\n#\u00A0note"), "output=\u00A0a\u3000b.h5");
}

TEST(Ini, ValuesReadBack) {
  for (const std::string value : {"a", "a\u00A0", "\u3000a", "", " a", "a ", "a # b", "a#b", "#a", ";", "'a'",
                                  "\"", "it's", "a 'b' ; c", "a;b \"c\""}) {
    ASSERT_TRUE(fits_ini(value)) << value;
    EXPECT_EQ(keys_of("k = " + ini_value(value)), "k=" + value);
  }
  EXPECT_EQ(ini_value("conv 10 kernel=5"), "conv 10 kernel=5");
  EXPECT_FALSE(fits_ini("a\nb"));
  EXPECT_FALSE(fits_ini("\"a' ; b"));
}

TEST(Ini, ARunFileWithAByteOrderMarkIsOneWithout) {
  const std::string text = "[model]\ninput = 4\nlayer = linear 3\n[train]\nseed = 9\n";
  std::vector<base::Violation> violations;
  EXPECT_EQ(print_config(parse_text("\xEF\xBB\xBF" + text, violations)),
            print_config(parse_text(text, violations)));
  EXPECT_TRUE(violations.empty());
  parse_text(text + "[train]\nseed = 8\n", violations);
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_NE(violations[0].message.find("in lines 5 and 7"), std::string::npos) << violations[0].message;
}

}  // namespace
}  // namespace partita::config
