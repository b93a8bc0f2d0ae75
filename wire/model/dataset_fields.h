// A dataset's version is in an event, a command and a row with the same fields: how they go
// into a FlatBuffer and come out of it. For wire's own .cc files only.
#pragma once

#include "wire/base/flatbuffers_io.h"
#include "wire/model/event.h"

namespace bib::wire {

struct DatasetVersionParts {
  FbText topic, dataset, version, hash, format, licence, description, homepage, source;
  FbTexts owners, tags;
  FbIds holders;
};

inline DatasetVersionParts put_dataset_version(Fbb& fbb, const DatasetVersionAdded& added) {
  return {.topic = put_present_text(fbb, added.topic),
          .dataset = put_present_text(fbb, added.dataset),
          .version = put_present_text(fbb, added.version),
          .hash = put_text(fbb, added.hash),
          .format = put_text(fbb, added.format),
          .licence = put_text(fbb, added.licence),
          .description = put_text(fbb, added.description),
          .homepage = put_text(fbb, added.homepage),
          .source = put_text(fbb, added.source),
          .owners = put_texts(fbb, added.owners),
          .tags = put_texts(fbb, added.tags),
          .holders = put_ids(fbb, added.holders)};
}

template <typename Builder>
void add_dataset_version(Builder& builder, const DatasetVersionParts& parts,
                         const DatasetVersionAdded& added) {
  builder.add_topic(parts.topic);
  builder.add_dataset(parts.dataset);
  builder.add_version(parts.version);
  builder.add_hash(parts.hash);
  builder.add_size(added.size.value_or(0));
  builder.add_size_known(added.size.has_value());
  builder.add_format(parts.format);
  builder.add_licence(parts.licence);
  builder.add_description(parts.description);
  builder.add_homepage(parts.homepage);
  builder.add_owners(parts.owners);
  builder.add_tags(parts.tags);
  builder.add_holders(parts.holders);
  builder.add_source(parts.source);
}

template <typename Table>
DatasetVersionAdded dataset_version_of(const Table& table, std::size_t list_size_max) {
  return {.topic = text_of(table.topic()),
          .dataset = text_of(table.dataset()),
          .version = text_of(table.version()),
          .hash = text_of(table.hash()),
          .size = table.size_known() ? std::optional(table.size()) : std::nullopt,
          .format = text_of(table.format()),
          .licence = text_of(table.licence()),
          .description = text_of(table.description()),
          .homepage = text_of(table.homepage()),
          .owners = texts_of(table.owners(), list_size_max),
          .tags = texts_of(table.tags(), list_size_max),
          .holders = ids_of(table.holders(), list_size_max),
          .source = text_of(table.source())};
}

}  // namespace bib::wire
