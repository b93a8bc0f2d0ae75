// CompiledSchema: a FlatBuffers schema that was compiled to bytes (.bfbs), checked and taken apart.
//
// For wire's readers that meet a schema in a file and not in this build. All numbers that point
// somewhere (types of fields, members of unions, places in structs) have been checked against what
// they point to, so that a reader needs to check only the data. Values; immutable after read().
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/result.h"

namespace bib::wire {

// The numbers of FlatBuffers' reflection.fbs, BaseType.
enum class SchemaKind : std::uint8_t {
  kNone = 0,
  kUnionType = 1,
  kBool = 2,
  kInt8 = 3,
  kUint8 = 4,
  kInt16 = 5,
  kUint16 = 6,
  kInt32 = 7,
  kUint32 = 8,
  kInt64 = 9,
  kUint64 = 10,
  kFloat = 11,
  kDouble = 12,
  kString = 13,
  kVector = 14,
  kObject = 15,
  kUnion = 16,
  kArray = 17,
};

inline constexpr std::size_t kNoSchemaIndex = ~std::size_t{0};

struct SchemaType {
  SchemaKind kind = SchemaKind::kNone;
  SchemaKind element = SchemaKind::kNone;  // of a vector or an array
  std::size_t index = kNoSchemaIndex;      // in objects (kObject) or enums (scalars, unions)
  std::size_t fixed_length = 0;            // of an array
};

struct SchemaField {
  std::string name;
  SchemaType type;
  std::uint16_t id = 0;
  std::uint16_t offset = 0;  // in a table's vtable, or in a struct
  std::int64_t default_integer = 0;
  double default_real = 0;
  bool optional = false;
  bool required = false;
};

struct SchemaObject {
  std::string name;
  bool is_struct = false;
  std::size_t size = 0;             // of a struct, in bytes
  std::vector<SchemaField> fields;  // in order of id
};

struct SchemaEnumValue {
  std::string name;
  SchemaType type;  // of a union's member
};

struct SchemaEnum {
  std::string name;
  bool is_union = false;
  std::map<std::int64_t, SchemaEnumValue> values;
};

struct CompiledSchema {
  std::vector<SchemaObject> objects;
  std::vector<SchemaEnum> enums;
  std::size_t root = 0;  // in objects; a table

  // kCorrupt when the bytes are not a compiled schema, contradict themselves or have no root table;
  // kUnsupported for a kind of field that this build cannot read.
  static Result<CompiledSchema> read(ByteView bytes);

  // The bytes of a scalar or a struct itself; the four of an offset for the rest.
  std::size_t inline_size(SchemaKind kind, std::size_t index) const;
};

// True for the kinds that are one number.
bool is_scalar(SchemaKind kind);

}  // namespace bib::wire
