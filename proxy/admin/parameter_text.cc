#include "proxy/admin/parameter_text.h"

#include <cmath>
#include <cstdio>
#include <cstring>

#include "proxy/admin/statement.h"
#include "proxy/wire/byte_reader.h"

namespace bulkhead::admin {

namespace {

using wire::ColumnType;

std::string Formatted(const char* format, auto... values) {
  char text[64];
  const int size = std::snprintf(text, sizeof text, format, values...);
  return {text, static_cast<size_t>(size)};
}

// Of so many little-endian bytes.
std::optional<std::string> IntegerText(std::string_view bytes, size_t size, bool is_unsigned) {
  if (bytes.size() != size) return std::nullopt;
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  if (is_unsigned) return std::to_string(value);
  const unsigned shift = 64 - 8 * static_cast<unsigned>(size);
  return std::to_string(static_cast<int64_t>(value << shift) >> shift);
}

// Clients in languages that have one kind of number send whole ones as doubles.
std::optional<std::string> RealText(double value) {
  constexpr double kWhole = 9007199254740992;  // 2^53
  if (!std::isfinite(value)) return std::nullopt;
  if (std::trunc(value) == value && std::fabs(value) < kWhole)
    return std::to_string(static_cast<int64_t>(value));
  return Formatted("%.17g", value);
}

template <typename Number>
std::optional<std::string> RealText(std::string_view bytes) {
  Number value{};
  if (bytes.size() != sizeof value) return std::nullopt;
  std::memcpy(&value, bytes.data(), sizeof value);
  return RealText(static_cast<double>(value));
}

std::optional<std::string> DateText(std::string_view bytes) {
  if (bytes.empty()) return "'0000-00-00'";
  wire::ByteReader reader(wire::AsBytes(bytes));
  const unsigned year = reader.ReadU16(), month = reader.ReadU8(), day = reader.ReadU8();
  std::string text = Formatted("'%04u-%02u-%02u", year, month, day);
  if (!reader.AtEnd()) {
    const unsigned hour = reader.ReadU8(), minute = reader.ReadU8(), second = reader.ReadU8();
    text += Formatted(" %02u:%02u:%02u", hour, minute, second);
  }
  if (!reader.AtEnd()) text += Formatted(".%06u", static_cast<unsigned>(reader.ReadU32()));
  if (!reader.ok() || !reader.AtEnd()) return std::nullopt;
  return text + "'";
}

std::optional<std::string> TimeText(std::string_view bytes) {
  if (bytes.empty()) return "'00:00:00'";
  wire::ByteReader reader(wire::AsBytes(bytes));
  const bool negative = reader.ReadU8() != 0;
  const uint64_t days = reader.ReadU32();
  const uint64_t hours = days * 24 + reader.ReadU8();
  const unsigned minute = reader.ReadU8(), second = reader.ReadU8();
  std::string text = Formatted("'%s%02llu:%02u:%02u", negative ? "-" : "",
                               static_cast<unsigned long long>(hours), minute, second);
  if (!reader.AtEnd()) text += Formatted(".%06u", static_cast<unsigned>(reader.ReadU32()));
  if (!reader.ok() || !reader.AtEnd()) return std::nullopt;
  return text + "'";
}

}  // namespace

std::optional<std::string> ParameterText(const wire::Parameter& parameter) {
  if (parameter.is_null) return "NULL";
  const std::string_view value = parameter.value;
  const bool is_unsigned = parameter.type.is_unsigned;
  switch (parameter.type.type) {
    case ColumnType::kNull:
      return "NULL";
    case ColumnType::kTiny:
    case ColumnType::kBool:
      return IntegerText(value, 1, is_unsigned);
    case ColumnType::kShort:
    case ColumnType::kYear:
      return IntegerText(value, 2, is_unsigned);
    case ColumnType::kLong:
    case ColumnType::kInt24:
      return IntegerText(value, 4, is_unsigned);
    case ColumnType::kLongLong:
      return IntegerText(value, 8, is_unsigned);
    case ColumnType::kFloat:
      return RealText<float>(value);
    case ColumnType::kDouble:
      return RealText<double>(value);
    case ColumnType::kDate:
    case ColumnType::kDatetime:
    case ColumnType::kTimestamp:
      return DateText(value);
    case ColumnType::kTime:
      return TimeText(value);
    case ColumnType::kDecimal:
    case ColumnType::kNewDecimal:
    case ColumnType::kVarchar:
    case ColumnType::kBit:
    case ColumnType::kJson:
    case ColumnType::kEnum:
    case ColumnType::kSet:
    case ColumnType::kTinyBlob:
    case ColumnType::kMediumBlob:
    case ColumnType::kLongBlob:
    case ColumnType::kBlob:
    case ColumnType::kVarString:
    case ColumnType::kString:
      return SqlLiteral(value);
    case ColumnType::kNewDate:
    case ColumnType::kTimestamp2:
    case ColumnType::kDatetime2:
    case ColumnType::kTime2:
    case ColumnType::kVector:
    case ColumnType::kInvalid:
    case ColumnType::kGeometry:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace bulkhead::admin
