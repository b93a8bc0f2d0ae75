#include "wire/model/compiled_schema.h"

#include <flatbuffers/flatbuffers.h>
#include <flatbuffers/reflection_generated.h>

#include <algorithm>

namespace bib::wire {
namespace {

constexpr std::size_t kSchemaSizeMax = 1U << 20;
constexpr flatbuffers::Verifier::Options kVerifierOptions = {
    .max_depth = 16, .max_tables = 65536, .check_alignment = true};
// A table's vtable begins with two sizes; fields come after them.
constexpr std::uint16_t kFirstFieldOffset = 4;

SchemaType read_type(const reflection::Type& type) {
  return {.kind = static_cast<SchemaKind>(type.base_type()),
          .element = static_cast<SchemaKind>(type.element()),
          .index = type.index() < 0 ? kNoSchemaIndex : static_cast<std::size_t>(type.index()),
          .fixed_length = type.fixed_length()};
}

SchemaObject read_object(const reflection::Object& table) {
  SchemaObject object{.name = table.name()->str(),
                      .is_struct = table.is_struct(),
                      .size = static_cast<std::size_t>(std::max(table.bytesize(), 0)),
                      .fields = {}};
  for (const reflection::Field* field : *table.fields()) {
    object.fields.push_back({.name = field->name()->str(),
                             .type = read_type(*field->type()),
                             .id = field->id(),
                             .offset = field->offset(),
                             .default_integer = field->default_integer(),
                             .default_real = field->default_real(),
                             .optional = field->optional(),
                             .required = field->required()});
  }
  std::sort(object.fields.begin(), object.fields.end(),
            [](const SchemaField& a, const SchemaField& b) { return a.id < b.id; });
  return object;
}

SchemaEnum read_enum(const reflection::Enum& table) {
  SchemaEnum result{.name = table.name()->str(), .is_union = table.is_union(), .values = {}};
  for (const reflection::EnumVal* value : *table.values()) {
    SchemaEnumValue& place = result.values[value->value()];
    place.name = value->name()->str();
    if (value->union_type() != nullptr) place.type = read_type(*value->union_type());
  }
  return result;
}

// Every reference in a schema against what it refers to.
class SchemaCheck {
 public:
  explicit SchemaCheck(const CompiledSchema& schema) : schema_(schema) {}

  Status run() const {
    for (const SchemaObject& object : schema_.objects) {
      for (std::size_t i = 0; i < object.fields.size(); ++i) {
        BIB_TRY_VOID(object.is_struct ? check_struct_field(object, object.fields[i])
                                      : check_table_field(object, i));
      }
    }
    for (const SchemaEnum& members : schema_.enums) BIB_TRY_VOID(check_union(members));
    return {};
  }

 private:
  tl::unexpected<Error> wrong(const SchemaObject& object, const SchemaField& field,
                              const char* what) const {
    return fail(ErrorCode::kCorrupt, "a compiled schema's field {}.{} {}", object.name, field.name,
                what);
  }

  // The index of a scalar is its enum, if it has one.
  bool is_sound_element(SchemaKind kind, std::size_t index) const {
    if (kind == SchemaKind::kString) return true;
    if (kind == SchemaKind::kObject) return index < schema_.objects.size();
    return is_scalar(kind) && (index == kNoSchemaIndex || index < schema_.enums.size());
  }

  Status check_struct_field(const SchemaObject& object, const SchemaField& field) const {
    const bool is_array = field.type.kind == SchemaKind::kArray;
    const SchemaKind kind = is_array ? field.type.element : field.type.kind;
    if (!is_sound_element(kind, field.type.index) || kind == SchemaKind::kString) {
      return wrong(object, field, "has a type that a struct cannot hold");
    }
    if (kind == SchemaKind::kObject && !schema_.objects[field.type.index].is_struct) {
      return wrong(object, field, "is a table inside a struct");
    }
    const std::size_t count = is_array ? field.type.fixed_length : 1;
    const std::size_t size = count * schema_.inline_size(kind, field.type.index);
    if (field.offset > object.size || size > object.size - field.offset) {
      return wrong(object, field, "reaches over the end of its struct");
    }
    return {};
  }

  Status check_table_field(const SchemaObject& object, std::size_t i) const {
    const SchemaField& field = object.fields[i];
    if (field.offset < kFirstFieldOffset || field.offset % 2 != 0) {
      return wrong(object, field, "has an offset that no field can have");
    }
    const SchemaType& type = field.type;
    if (type.kind == SchemaKind::kUnion) return check_union_field(object, i);
    if (type.kind == SchemaKind::kVector && type.element == SchemaKind::kUnion) {
      return fail(ErrorCode::kUnsupported,
                  "a compiled schema's field {}.{} is a list of unions, which this build does not "
                  "read: use the version that wrote it",
                  object.name, field.name);
    }
    const SchemaKind kind = type.kind == SchemaKind::kVector ? type.element : type.kind;
    if (!is_sound_element(kind, type.index)) {
      return wrong(object, field, "has a type that does not exist");
    }
    return {};
  }

  // A union is two fields: its type, and after it its value.
  Status check_union_field(const SchemaObject& object, std::size_t i) const {
    const SchemaField& field = object.fields[i];
    const SchemaType& type = field.type;
    if (type.index >= schema_.enums.size() || !schema_.enums[type.index].is_union) {
      return wrong(object, field, "is a union that does not exist");
    }
    if (i == 0 || object.fields[i - 1].type.kind != SchemaKind::kUnionType) {
      return wrong(object, field, "is a union without a field for its type");
    }
    return {};
  }

  Status check_union(const SchemaEnum& members) const {
    if (!members.is_union) return {};
    for (const auto& [number, value] : members.values) {
      if (number == 0) continue;  // NONE
      const SchemaType& type = value.type;
      const bool sound = type.kind == SchemaKind::kString ||
                         (type.kind == SchemaKind::kObject && type.index < schema_.objects.size());
      if (!sound) {
        return fail(ErrorCode::kCorrupt, "a compiled schema's union {} has a member {} of no type",
                    members.name, value.name);
      }
    }
    return {};
  }

  const CompiledSchema& schema_;
};

}  // namespace

bool is_scalar(SchemaKind kind) {
  return kind >= SchemaKind::kUnionType && kind <= SchemaKind::kDouble;
}

std::size_t CompiledSchema::inline_size(SchemaKind kind, std::size_t index) const {
  switch (kind) {
    case SchemaKind::kUnionType:
    case SchemaKind::kBool:
    case SchemaKind::kInt8:
    case SchemaKind::kUint8:
      return 1;
    case SchemaKind::kInt16:
    case SchemaKind::kUint16:
      return 2;
    case SchemaKind::kInt64:
    case SchemaKind::kUint64:
    case SchemaKind::kDouble:
      return 8;
    case SchemaKind::kObject:
      return objects[index].is_struct ? objects[index].size : sizeof(flatbuffers::uoffset_t);
    default:
      return 4;
  }
}

Result<CompiledSchema> CompiledSchema::read(ByteView bytes) {
  if (bytes.size() > kSchemaSizeMax) {
    return fail(ErrorCode::kCorrupt, "a compiled schema of {} bytes is larger than the {} allowed",
                bytes.size(), kSchemaSizeMax);
  }
  // A copy is aligned, wherever in a file the schema stood.
  const std::vector<std::uint8_t> aligned(bytes.begin(), bytes.end());
  flatbuffers::Verifier verifier(aligned.data(), aligned.size(), kVerifierOptions);
  if (!reflection::VerifySchemaBuffer(verifier)) {
    return fail(ErrorCode::kCorrupt, "{} bytes are not a compiled FlatBuffers schema (.bfbs)",
                bytes.size());
  }
  const reflection::Schema* table = reflection::GetSchema(aligned.data());
  if (table->root_table() == nullptr) {
    return fail(ErrorCode::kCorrupt, "a compiled schema has no root table");
  }
  CompiledSchema schema;
  for (const reflection::Object* object : *table->objects()) {
    schema.objects.push_back(read_object(*object));
  }
  for (const reflection::Enum* members : *table->enums()) {
    schema.enums.push_back(read_enum(*members));
  }
  const std::string root_name = table->root_table()->name()->str();
  const auto root =
      std::find_if(schema.objects.begin(), schema.objects.end(),
                   [&](const SchemaObject& object) { return object.name == root_name; });
  if (root == schema.objects.end() || root->is_struct) {
    return fail(ErrorCode::kCorrupt, "a compiled schema's root {} is not one of its tables",
                root_name);
  }
  schema.root = static_cast<std::size_t>(root - schema.objects.begin());
  BIB_TRY_VOID(SchemaCheck(schema).run());
  return schema;
}

}  // namespace bib::wire
