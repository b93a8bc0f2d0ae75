// EventPrinter: a walk over an event's bytes by a compiled schema.
//
// The walk checks every place before it reads it, so it needs no verifier before it and trusts
// nothing but the (checked) schema. What it can do is bounded: by depth, and by a budget of bytes
// visited, because offsets that share a target could otherwise make a small event print endlessly.
#include <cstring>
#include <nlohmann/json.hpp>

#include "wire/base/limits.h"
#include "wire/model/compiled_schema.h"
#include "wire/model/event.h"

namespace bib::wire {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDepthMax = 32;
constexpr std::size_t kBudgetPerByte = 4;
constexpr std::size_t kBudgetBase = 64U << 10;

// 64 bits that name something, and count nothing. Readers of JSON keep 53 bits of a number, so
// these are printed as text, as ids are elsewhere. The rule is about names, because the schema that
// a log carries may be older than any mark that could be put into it.
bool is_name_of_64_bits(const SchemaField& field) {
  const bool one = field.type.kind == SchemaKind::kUint64;
  const bool list =
      field.type.kind == SchemaKind::kVector && field.type.element == SchemaKind::kUint64;
  if ((!one && !list) || field.type.index != kNoSchemaIndex) return false;
  return field.name == "digest" || field.name == "holders";
}

class EventWalk {
 public:
  EventWalk(const CompiledSchema& schema, ByteView bytes)
      : schema_(schema), bytes_(bytes), budget_(bytes.size() * kBudgetPerByte + kBudgetBase) {}

  // The root table: its union's type comes first, as "type".
  Result<Json> root() {
    const SchemaObject& object = schema_.objects[schema_.root];
    BIB_TRY(const std::size_t place, target(0));
    BIB_TRY(const Table table, open_table(place));
    Json json = Json::object();
    for (std::size_t i = 1; i < object.fields.size() && json.empty(); ++i) {
      if (object.fields[i].type.kind != SchemaKind::kUnion) continue;
      const SchemaEnum& members = schema_.enums[object.fields[i].type.index];
      BIB_TRY(const SchemaEnumValue* member, union_member(table, object.fields[i - 1], members));
      if (member == nullptr) return fail(ErrorCode::kCorrupt, "the event's body has no type");
      json["type"] = member->name;
    }
    BIB_TRY_VOID(print_fields(object, table, json, Types::kLeaveOut));
    return json;
  }

 private:
  struct Table {
    std::size_t place = 0;
    std::size_t vtable = 0;
    std::size_t vtable_size = 0;
  };
  enum class Types { kLeaveOut, kPrint };

  tl::unexpected<Error> outside(std::size_t place) const {
    return fail(ErrorCode::kCorrupt,
                "the event's {} bytes are damaged: byte {} is referred to wrongly", bytes_.size(),
                place);
  }

  Status charge(std::size_t cost) {
    if (cost > budget_) {
      return fail(ErrorCode::kCorrupt, "the event's parts overlap: it would print without an end");
    }
    budget_ -= cost;
    return {};
  }

  Status check_range(std::size_t place, std::size_t size) const {
    if (place > bytes_.size() || size > bytes_.size() - place) return outside(place);
    return {};
  }

  template <typename T>
  Result<T> load(std::size_t place) const {
    BIB_TRY_VOID(check_range(place, sizeof(T)));
    T value;
    std::memcpy(&value, bytes_.data() + place, sizeof value);
    return value;
  }

  // Where the offset at `place` leads.
  Result<std::size_t> target(std::size_t place) const {
    BIB_TRY(const std::uint32_t offset, load<std::uint32_t>(place));
    if (offset == 0 || offset >= bytes_.size() - place) return outside(place);
    return place + offset;
  }

  Result<Table> open_table(std::size_t place) const {
    BIB_TRY(const std::int32_t back, load<std::int32_t>(place));
    const std::int64_t vtable = static_cast<std::int64_t>(place) - back;
    if (vtable < 0) return outside(place);
    Table table{.place = place, .vtable = static_cast<std::size_t>(vtable)};
    BIB_TRY(table.vtable_size, load<std::uint16_t>(table.vtable));
    BIB_TRY_VOID(check_range(table.vtable, table.vtable_size));
    return table;
  }

  // The place of a field's value; 0 when it is absent (no value is at 0).
  Result<std::size_t> find(const Table& table, const SchemaField& field) const {
    if (std::size_t{field.offset} + sizeof(std::uint16_t) > table.vtable_size) return 0;
    BIB_TRY(const std::uint16_t offset, load<std::uint16_t>(table.vtable + field.offset));
    return offset == 0 ? 0 : table.place + offset;
  }

  // The member that a union's type field names; nullptr for none.
  Result<const SchemaEnumValue*> union_member(const Table& table, const SchemaField& type_field,
                                              const SchemaEnum& members) const {
    BIB_TRY(const std::size_t place, find(table, type_field));
    if (place == 0) return nullptr;
    BIB_TRY(const std::uint8_t number, load<std::uint8_t>(place));
    if (number == 0) return nullptr;
    const auto found = members.values.find(number);
    if (found == members.values.end()) {
      return fail(
          ErrorCode::kUnsupported,
          "the event has {} number {}, which the schema given does not know: it was written "
          "by a newer version; use that version's schema",
          members.name, number);
    }
    return &found->second;
  }

  Status print_fields(const SchemaObject& object, const Table& table, Json& json, Types types) {
    for (std::size_t i = 0; i < object.fields.size(); ++i) {
      const SchemaField& field = object.fields[i];
      BIB_TRY_VOID(charge(1));
      if (field.type.kind == SchemaKind::kUnionType && types == Types::kLeaveOut) continue;
      BIB_TRY(const std::size_t place, find(table, field));
      if (place == 0) {
        if (field.required) {
          return fail(ErrorCode::kCorrupt, "the event's required field {} is missing", field.name);
        }
        if (is_scalar(field.type.kind) && !field.optional) json[field.name] = default_of(field);
      } else if (field.type.kind == SchemaKind::kUnion) {
        const SchemaEnum& members = schema_.enums[field.type.index];
        BIB_TRY(const SchemaEnumValue* member, union_member(table, object.fields[i - 1], members));
        if (member == nullptr) continue;
        BIB_TRY(json[field.name], value(member->type, place, Held::kByOffset));
      } else {
        BIB_TRY(json[field.name], field_value(field, place));
      }
    }
    return {};
  }

  // A union's struct is reached by an offset, as its tables are.
  enum class Held { kInPlace, kByOffset };

  Result<Json> field_value(const SchemaField& field, std::size_t place) {
    BIB_TRY(Json json, value(field.type, place, Held::kInPlace));
    if (!is_name_of_64_bits(field)) return json;
    if (!json.is_array()) return hex_of(json);
    for (Json& element : json) element = hex_of(element);
    return json;
  }
  static Json hex_of(const Json& number) {
    return fmt::format("{:016x}", number.get<std::uint64_t>());
  }

  Result<Json> value(const SchemaType& type, std::size_t place, Held held) {
    switch (type.kind) {
      case SchemaKind::kString:
        return text(place);
      case SchemaKind::kVector:
        return vector(type, place);
      case SchemaKind::kArray:
        return elements(type.element, type.index, place, type.fixed_length);
      case SchemaKind::kObject:
        return object(schema_.objects[type.index], place, held);
      default:
        return scalar(type.kind, type.index, place);
    }
  }

  Result<Json> object(const SchemaObject& object, std::size_t place, Held held) {
    if (depth_ == kDepthMax) {
      return fail(ErrorCode::kCorrupt, "the event's tables are nested deeper than {}", kDepthMax);
    }
    ++depth_;
    auto json = object.is_struct ? structure(object, place, held) : table(object, place);
    --depth_;
    return json;
  }

  Result<Json> table(const SchemaObject& object, std::size_t place) {
    BIB_TRY(const std::size_t start, target(place));
    BIB_TRY(const Table table, open_table(start));
    Json json = Json::object();
    BIB_TRY_VOID(print_fields(object, table, json, Types::kPrint));
    return json;
  }

  Result<Json> structure(const SchemaObject& object, std::size_t place, Held held) {
    if (held == Held::kByOffset) {
      BIB_TRY(place, target(place));
    }
    BIB_TRY_VOID(check_range(place, object.size));
    // A struct around one array of bytes is an id: its bytes say all.
    if (object.fields.size() == 1 && object.fields[0].type.kind == SchemaKind::kArray) {
      return value(object.fields[0].type, place + object.fields[0].offset, Held::kInPlace);
    }
    Json json = Json::object();
    for (const SchemaField& field : object.fields) {
      BIB_TRY_VOID(charge(1));
      BIB_TRY(json[field.name], field_value(field, place + field.offset));
    }
    return json;
  }

  Result<Json> text(std::size_t place) {
    BIB_TRY(const std::size_t start, target(place));
    BIB_TRY(const std::uint32_t size, load<std::uint32_t>(start));
    const std::size_t begin = start + sizeof size;
    BIB_TRY_VOID(check_range(begin, size));
    BIB_TRY_VOID(charge(size));
    return Json(std::string(as_text(bytes_.subspan(begin, size))));
  }

  Result<Json> vector(const SchemaType& type, std::size_t place) {
    BIB_TRY(const std::size_t start, target(place));
    BIB_TRY(const std::uint32_t count, load<std::uint32_t>(start));
    return elements(type.element, type.index, start + sizeof count, count);
  }

  // Bytes that are no enum's are printed as hex, everything else as a list.
  Result<Json> elements(SchemaKind kind, std::size_t index, std::size_t place, std::size_t count) {
    const std::size_t size = schema_.inline_size(kind, index);
    BIB_TRY_VOID(check_range(place, size * count));
    BIB_TRY_VOID(charge(std::max<std::size_t>(size, 1) * count));
    if (kind == SchemaKind::kUint8 && index == kNoSchemaIndex) {
      return Json(to_hex(bytes_.data() + place, count));
    }
    Json list = Json::array();
    const SchemaType type{.kind = kind, .index = index};
    for (std::size_t i = 0; i < count; ++i) {
      BIB_TRY(Json element, value(type, place + i * size, Held::kInPlace));
      list.push_back(std::move(element));
    }
    return list;
  }

  Result<Json> scalar(SchemaKind kind, std::size_t index, std::size_t place) {
    switch (kind) {
      case SchemaKind::kBool: {
        BIB_TRY(const std::uint8_t number, load<std::uint8_t>(place));
        return Json(number != 0);
      }
      case SchemaKind::kInt8:
        return number<std::int8_t>(index, place);
      case SchemaKind::kInt16:
        return number<std::int16_t>(index, place);
      case SchemaKind::kUint16:
        return number<std::uint16_t>(index, place);
      case SchemaKind::kInt32:
        return number<std::int32_t>(index, place);
      case SchemaKind::kUint32:
        return number<std::uint32_t>(index, place);
      case SchemaKind::kInt64:
        return number<std::int64_t>(index, place);
      case SchemaKind::kUint64:
        return number<std::uint64_t>(index, place);
      case SchemaKind::kFloat: {
        BIB_TRY(const float real, load<float>(place));
        return Json(real);
      }
      case SchemaKind::kDouble: {
        BIB_TRY(const double real, load<double>(place));
        return Json(real);
      }
      default:
        return number<std::uint8_t>(index, place);
    }
  }

  template <typename T>
  Result<Json> number(std::size_t index, std::size_t place) const {
    BIB_TRY(const T number, load<T>(place));
    if (const std::string* name = enum_name(index, static_cast<std::int64_t>(number))) {
      return Json(*name);
    }
    return Json(number);
  }

  // nullptr where there is no enum, or none of its names fits.
  const std::string* enum_name(std::size_t index, std::int64_t number) const {
    if (index == kNoSchemaIndex) return nullptr;
    const auto& values = schema_.enums[index].values;
    const auto found = values.find(number);
    return found == values.end() ? nullptr : &found->second.name;
  }

  Json default_of(const SchemaField& field) const {
    if (field.type.kind == SchemaKind::kBool) return field.default_integer != 0;
    if (field.type.kind == SchemaKind::kFloat || field.type.kind == SchemaKind::kDouble) {
      return field.default_real;
    }
    if (const std::string* name = enum_name(field.type.index, field.default_integer)) return *name;
    if (field.type.kind == SchemaKind::kUint64) {
      return static_cast<std::uint64_t>(field.default_integer);
    }
    return field.default_integer;
  }

  const CompiledSchema& schema_;
  ByteView bytes_;
  std::size_t budget_;
  int depth_ = 0;
};

}  // namespace

struct EventPrinter::Impl {
  CompiledSchema schema;
};

EventPrinter::EventPrinter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventPrinter::EventPrinter(EventPrinter&&) noexcept = default;
EventPrinter& EventPrinter::operator=(EventPrinter&&) noexcept = default;
EventPrinter::~EventPrinter() = default;

Result<EventPrinter> EventPrinter::from_schema(ByteView compiled_schema) {
  BIB_TRY(CompiledSchema schema, CompiledSchema::read(compiled_schema));
  return EventPrinter(std::make_unique<Impl>(Impl{std::move(schema)}));
}

Result<std::string> EventPrinter::to_json(ByteView event) const {
  if (event.size() > kEventSizeMax) {
    return fail(ErrorCode::kCorrupt, "an event of {} bytes is larger than the {} allowed",
                event.size(), kEventSizeMax);
  }
  BIB_TRY(const Json json, EventWalk(impl_->schema, event).root());
  // Text that is not UTF-8 is printed with replacement characters: it is here to be looked at.
  constexpr int kOneLine = -1;
  return json.dump(kOneLine, ' ', false, Json::error_handler_t::replace);
}

}  // namespace bib::wire
