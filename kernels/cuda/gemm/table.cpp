/// The measured times of products as CSV, read with every line that is wrong named, and written; the shipped
/// table is built into the program.
#include <charconv>
#include <fstream>
#include <ostream>
#include <sstream>
#include <stdexcept>

#include "selector.hpp"
#include "shipped_gemm_table.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

constexpr std::string_view columns = "architecture,arithmetic,m,n,k,transpositions,kernel,microseconds";
constexpr Arithmetic arithmetics[] = {Arithmetic::fp32, Arithmetic::tf32, Arithmetic::bf16};

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream text(line + ",");  // a last comma ends the last field, also an empty one
  for (std::string field; std::getline(text, field, ',');) {
    const auto first = field.find_first_not_of(" \t\r"), last = field.find_last_not_of(" \t\r");
    fields.push_back(first == std::string::npos ? "" : field.substr(first, last - first + 1));
  }
  return fields;
}

template <class T>
bool read_positive(const std::string& text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value > 0 &&
         static_cast<double>(value) < 1e12;
}

bool read_arithmetic(const std::string& text, Arithmetic& value) {
  for (const auto arithmetic : arithmetics)
    if (text == to_string(arithmetic)) return value = arithmetic, true;
  return false;
}

bool read_transpositions(const std::string& text, Measurement& row) {
  if (text.size() != 2 || text.find_first_not_of("nt") != std::string::npos) return false;
  row.transpose_a = text[0] == 't';
  row.transpose_b = text[1] == 't';
  return true;
}

bool read_time(const std::string& text, std::optional<double>& value) {
  if (text == "-") return true;
  double time = 0;
  if (!read_positive(text, time)) return false;
  value = time;
  return true;
}

/// What is wrong with the line, empty if nothing is.
std::string read_row(const std::string& line, Measurement& row) {
  const auto fields = fields_of(line);
  if (fields.size() != 8) return "has " + std::to_string(fields.size()) + " fields instead of 8";
  std::string wrong;
  const auto expect = [&](bool right, std::string_view column, std::string_view what) {
    if (!right) wrong += (wrong.empty() ? "" : "; ") + std::string(column) + " must be " + std::string(what);
  };
  expect(read_positive(fields[0], row.architecture), "architecture", "a compute capability times 10, as 90");
  expect(read_arithmetic(fields[1], row.arithmetic), "arithmetic", "fp32, tf32 or bf16");
  expect(read_positive(fields[2], row.m), "m", "a positive number");
  expect(read_positive(fields[3], row.n), "n", "a positive number");
  expect(read_positive(fields[4], row.k), "k", "a positive number");
  expect(read_transpositions(fields[5], row), "transpositions", "nn, nt, tn or tt");
  expect(!fields[6].empty(), "kernel", "a name");
  expect(read_time(fields[7], row.microseconds), "microseconds", "a positive number or -");
  row.kernel = fields[6];
  return wrong;
}

}  // namespace

std::string_view to_string(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::fp32:
      return "fp32";
    case Arithmetic::tf32:
      return "tf32";
    case Arithmetic::bf16:
      return "bf16";
  }
  return "unknown";
}

Table Table::parse(std::string_view text, std::string_view source) {
  Table table;
  std::string problems;
  std::istringstream lines{std::string(text)};
  int number = 0;
  bool headed = false;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    std::string wrong;
    Measurement row;
    if (!headed)
      wrong = line.starts_with(columns) ? "" : "must name the columns " + std::string(columns);
    else if (wrong = read_row(line, row); wrong.empty())
      table.rows_.push_back(row);
    headed = true;
    if (!wrong.empty()) problems += "\n" + std::string(source) + ":" + std::to_string(number) + ": " + wrong;
  }
  if (!headed) problems += "\n" + std::string(source) + ": has no line with the names of the columns";
  if (!problems.empty()) throw std::runtime_error("this is no table of matrix products:" + problems);
  return table;
}

Table Table::read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    throw std::runtime_error(path + ": cannot be read as a table of matrix products");
  return parse(text.str(), path);
}

void Table::print(std::ostream& out) const {
  out << columns << '\n';
  for (const auto& row : rows_) {
    out << row.architecture << ',' << to_string(row.arithmetic) << ',' << row.m << ',' << row.n << ','
        << row.k << ',' << (row.transpose_a ? 't' : 'n') << (row.transpose_b ? 't' : 'n') << ',' << row.kernel
        << ',';
    char digits[32];
    if (row.microseconds)
      out.write(digits, std::to_chars(digits, digits + sizeof digits, *row.microseconds).ptr - digits)
          << '\n';
    else
      out << "-\n";
  }
}

const Table& Table::shipped() {
  static const Table table = parse(shipped_gemm_table, "inputs/machines/gemm-h200.csv");
  return table;
}

}  // namespace partita::kernels::cuda::gemm
