// The corpus as the tasks' source of natural text.
#pragma once

#include "corpus/documents.h"
#include "tasks/text.h"

namespace mneme::train {

// `documents` must outlive what is returned.
tasks::InMemoryText as_text_source(const corpus::Documents& documents);

}  // namespace mneme::train
