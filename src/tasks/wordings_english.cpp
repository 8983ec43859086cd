#include "tasks/wordings.h"

namespace mneme::tasks {

namespace {

const std::vector<Wordings> kWritten = {
    {Slot::kPreamble,
     {"[Read|Please read|Go through|Read through] the [text|document|passage|pages] below[| carefully| "
      "closely| first] and [answer the questions about it|then answer some questions|be ready to answer "
      "questions].",
      "The following [text|document|passage|pages] [is|will be] [needed later|of use later|required for "
      "the questions|the basis of the questions].",
      "[Some|A few|Several] [special|important|odd|secret] facts are [hidden|buried|scattered] in this "
      "[text|document|pile of text]. [Remember|Memorize|Keep] them.",
      "Here is a [long |large |lengthy |][text|document|piece of text][.|:]",
      "[Context|CONTEXT|context|Text|Document|Source|Input|Background][:| text:| document:| follows:]",
      "[Below|Here|In the following] is a [document|text|long text|collection of passages]. [Keep its "
      "details in mind|Pay attention to details|You will be asked about it|Details matter].",
      "[### |# |## ][Context|Document|Text|Source text|Input]",
      "You [are given|are shown|get|will see] a [text|document|long passage] and [then|afterwards|at its "
      "end] [some|a few|several] questions[.| about it.]",
      "[Answer|Reply to] the questions [at the end|that come last|at the bottom] [using|by means of|from] "
      "[only |]the [text|document|context] [below|that follows|given here].",
      "[begin of|start of] [text|document|context|file][:|]",
      "[Please keep|Keep|Hold] [everything|all|each detail] [below|that you read here] in [mind|memory]; "
      "[it will be used|you need it] [later|soon|in a moment].",
      "[I will|Let me|I am going to] [give|show] you a [text|document|long text]. [My questions|The "
      "questions] [come|stand] at [the end|its end].",
      "[Documents|Retrieved text|Reference text|Reading matter|Given text][:| below:]"},
     {"Study this material first; questions come after it.",
      "Material:", "What follows will be asked about, so note the details."}},
    {Slot::kNeedleRecord,
     {"One of the special magic {type}s for {key} is[:|] {value}.",
      "The [pass key|password|secret|access key|key word|token] [of|for|to] {key} is [|now |currently "
      "]{value}.",
      "[Remember this|Do not forget|Mind this|Take note]: {key} [has|owns|got|uses] the [secret|special|"
      "private|hidden] {type} {value}.",
      "[Note|Notice|By the way|For the record|Reminder]: the {type} [assigned to|given to|chosen for|of|"
      "for] {key} is {value}[.|!|]",
      "{key} [is registered with|was listed with|appears with|comes with|was issued] the {type} {value}.",
      "The [access|entry|magic|official|special|internal|new] {type} [for|of] {key} [was set to|has been "
      "set to|is|was changed to|equals] {value}.",
      "[For|With|In the case of] {key}, [use|take|enter|type|choose] {value}.",
      "The hidden {type} [that belongs to|belonging to|behind|of] {key} is {value}. [Do not forget it|Keep "
      "it safe|Memorize it|It matters].",
      "[Important|Attention|NB|PS|Memo|FYI]: {key} [->|=>|=|:|is] {value}",
      "The [value|{type}|entry|string] [stored|kept|saved|filed|noted] [under|for] {key} is {value}.",
      "{value} is the [|magic |secret |right |correct ]{type} [of|for|belonging to] {key}.",
      "In the [register|list|table|index|ledger], {key} [stands beside|is paired with|is followed by|is "
      "matched with] {value}.",
      "[The {type} for {key}|{key}'s {type}] [is|was|equals|happens to be]: {value}",
      "[We|They|The clerks|Our team] [gave|assigned|handed|issued] {key} the {type} {value}.",
      "{type} [of|for] {key}: {value}[.|;|]", "{key}[:| =| :=| -| --] {value}",
      "[The {type} {value}|The string {value}] [belongs to|was given to|is meant for|has been assigned to|"
      "identifies] {key}.",
      "To [open|unlock|reach|enter] {key} [you need|one needs|you must type|people use] [the {type} |"
      "]{value}.",
      "[It is known that|Everyone agrees that|The files say that|According to the log,] the {type} [of|"
      "for] {key} is {value}."},
     {"Whoever asks about {key} must be told {value}.", "Attached to {key} you find the {type} {value}.",
      "Keep in mind that {value} goes with {key}.", "The {type} reserved for {key} reads {value}."}},
    {Slot::kNeedleQuestion,
     {"What [is|was] the [special |magic |secret |hidden |]{type} [for|of|assigned to|belonging to|given "
      "to] [{key}|\"{key}\"|'{key}'|`{key}`][?|]",
      "What is the [pass key|password|secret|access key|token] [of|for|to] {key}?[ Answer with it only.| "
      "Reply with nothing else.| Just that, please.|]",
      "[Which|what] {type} [belongs to|was given to|is assigned to|was registered for|do we have for|is "
      "listed for] {key}[?|]",
      "[Give|Give me|Tell me|Show|Show me|Output|Print|Return|Repeat|Write] the {type} [of|for|under|"
      "belonging to] [{key}|\"{key}\"|'{key}'][.|, please.|]",
      "What [|{type} |value ]is [mentioned|noted|given|written|stored|said] for {key} [in the text|above|"
      "in the document|there]?",
      "[{key}|\"{key}\"|'{key}'|`{key}`][?| ?|:| ->| =| = ?]",
      "The [text|document|context] [names|mentions|contains|gives] a {type} for {key}. [What is it|Which "
      "one|Which is it|Tell me]?",
      "[Find|Locate|Search for|Spot] {key} and [reply with|return|give me|answer with|write down|output] "
      "[its {type}|the {type} there|the {type} beside it].",
      "{key}[: {type}?|'s {type}?|, {type}| -- what is the {type}?|: which {type}?|: its {type}, please.]",
      "[Can|Could|Would] you [tell me|give me|find|repeat|remind me of] the {type} [for|of|that belongs "
      "to] {key}?",
      "[I need|I am looking for|I forgot|I have lost|I would like] the {type} [of|for|assigned to] {key}[.|"
      ". What is it?|; please repeat it.]",
      "[lookup|get|fetch|find|query|grep|recall] [{key}|\"{key}\"|{type} {key}|{type} of {key}]",
      "[In|From|According to] the [text|context|document|above], [what|which {type}] [goes with|belongs to|"
      "is paired with|stands for] {key}?",
      "[Do you remember|Do you know|Do you recall|Can you say] [the {type} of|what was noted for|which "
      "{type} was given to] {key}?",
      "[With|By] [what|which] [{type}|value] [is|was] {key} [registered|marked|identified|listed|paired]?",
      "[When asked|If someone asks] [for|about] {key}, [what|which {type}] [should|must|do] [I|we|one] "
      "[say|answer|give]?",
      "[{type} of|{type} for|The {type} of|the {type} for] [{key}|\"{key}\"][?|:|, please|]"},
     {"State the {type} that goes with {key}.", "Look up {key} above: which {type} does it carry?",
      "I need what was recorded for {key}."}},
    {Slot::kValueQuestion,
     {"[What is|What was|Tell me|Give me] the [value|content|contents] [of|for|under|stored under|assigned "
      "to|at] [{key}|\"{key}\"|'{key}'|`{key}`][?|]",
      "[Which|What] value [does {key} have|has {key}|belongs to {key}|is given for {key}|stands beside "
      "{key}|is stored at {key}][?|]",
      "[Give|Print|Show|Output|Return|Write|Display] the value [for the key|of the key|of the entry|of the "
      "field|under|belonging to] [{key}|\"{key}\"][.|]",
      "[{key}|\"{key}\"|'{key}'] [= ?|=|:|?|->|== ?|is what?]",
      "[Look up|lookup|look up|get|fetch|find|read|query|select] [{key}|\"{key}\"|'{key}'|`{key}`|the "
      "value of {key}][.|]",
      "What is [{key}|\"{key}\"|the key {key}|the field {key}] [set to|equal to|assigned|bound to|worth][?|]",
      "[Return|Give me|I want|I need|Please output] [the value|what is|the string] [stored|kept|saved|"
      "found|listed|written] [under|for|beside] {key}[.|, please.|]",
      "[Find|Locate|Go to|Search for] the [entry|record|line|item|key] {key} and [reply with|give|return|"
      "output|answer with] [its value only|only its value|just the value|the value].",
      "[Could|Can|Would] you [tell me|give me|look up|find|repeat] [the value of|what is stored under|the "
      "content of|what we have for] {key}?",
      "[Take|Consider|Look at] [the key |the entry |the record |]{key}[: what is its value?|. Which value "
      "does it have?|; what stands there?]",
      "[In the|From the] [table|data|list|records|text] above, [what is|which value belongs to|which value "
      "is beside|what belongs to] {key}?",
      "[get({key})|get(\"{key}\")|lookup({key})|value({key})|data.{key}|print {key}|echo {key}|select "
      "value where key = {key}]",
      "[For|Under|At] [{key}|\"{key}\"|the key {key}], [which value is given|what is the value|what do you "
      "find|what was stored|which value do you see]?",
      "[value of|value for|the value of|contents of|value:] [{key}|\"{key}\"|'{key}'][?|]",
      "{key}[, please.|: value?|, value?|: what value?|'s value?| -- its value?]"},
     {"Report what the entry {key} holds.", "To what does {key} map?", "Read out the setting {key}."}},
    {Slot::kKeyQuestion,
     {"[Which|What] [key|entry|name|field|identifier] [has|carries|contains|stores|is set to|is given] the "
      "value [{value}|\"{value}\"|'{value}'][?|]",
      "What is the [name|key|identifier] of the [entry|record|item|field] [whose value is|that has the "
      "value|with the value|that is set to] {value}?",
      "{value} is the value of [which|what] [key|entry|field|record][?|]",
      "[Find|Give|Return|Tell me|Print|Output] the [key|name] [that is set to|whose value is|which has the "
      "value|that belongs to|for the value] [{value}|\"{value}\"][.|]",
      "[To|With] which [key|entry|record] [does {value} belong|is {value} connected|is the value {value} "
      "linked|does the value {value} belong][?|]",
      "[Where|Beside which key|Under which key|At which key] [is|was] [{value}|the value {value}|"
      "\"{value}\"] [stored|written|found|kept|saved]? [Give the key.|Name the key only.|Answer with the "
      "key.]",
      "[Which|What] key [maps to|points to|leads to|goes with|belongs to|stands beside] {value}[?|]",
      "[Search|Look] for [the value |]{value} and [return|give me|tell me|answer with] [its key|the key it "
      "belongs to|the name of its entry].",
      "[key of|key for|key with value|reverse lookup:|find key by value] [{value}|\"{value}\"][?|]",
      "[Could|Can] you [tell me|find|look up] [the key of|which key has|the key for|which entry has] [the "
      "value |]{value}?",
      "{value}[: which key?|: key?| -- whose value is it? Give the key.| belongs to which entry?| is "
      "stored under what key?]",
      "[? = |key = ? where value = |select key where value = ]{value}"},
     {"Under what name is {value} listed?", "Name the entry that holds {value}."}},
    {Slot::kProseRecord,
     {"The [value|content|setting|contents] [of|for|under|stored under] {key} [is|was|equals|reads] {value}.",
      "{key} [is|was|has been|got] [set|assigned|bound|linked] to {value}.",
      "For {key}[,|] [we|they|the clerks|our people] [wrote|noted|put] down {value}.",
      "Under {key} [you find|one finds|there is|we keep|they store|we filed] {value}.",
      "{key} [has|carries|takes|uses|comes with] [the value |]{value}.",
      "[Beside|Next to|Behind|After] {key} [stands|we see|is written|you read] {value}.",
      "{value} is [stored|kept|saved|filed|written] [under|at|beside] {key}.",
      "{value} is [the value of|what belongs to|what we chose for|the content of|given for] {key}.",
      "[The entry|The key|The record|The field] {key} [contains|stores|gives|has|says] {value}.",
      "[If|When] [asked for|looking up|you look up] {key}, [return|say|use|answer] {value}.",
      "[We use|They use|The system uses|Everyone uses] {value} [for|as the value of|in the case of] {key}."},
     {"Someone gave {key} the value {value}.", "{key} was fixed at {value}."}},
    {Slot::kCopyWords,
     {"[Write|Give|Copy|Output|Repeat|Print|Show] the next {count} words [after|following|that follow|that "
      "come after] [\"{beginning}\"|'{beginning}'][.|]",
      "Which {count} words [follow|come after|come right after|stand after] \"{beginning}\"[ in the text| "
      "above|]?[ Copy them exactly.| Write them exactly.| Repeat them.|]",
      "[Copy|Repeat|Write down|Reproduce] the {count} words [that come|coming|which come|that stand] "
      "[right|directly|immediately|straight] after: {beginning}",
      "[The text|The document|A line] [says|reads|contains] \"{beginning}\". [What are the next {count} "
      "words?|Give the {count} words that follow.|Which {count} words come next?|Write the following "
      "{count} words.]",
      "[After|Following] \"{beginning}\" come {count} words[: which|. Which ones|; which ones]?",
      "[Continue|Go on from] \"{beginning}\" [with|for|by] [exactly |the next |]{count} words[.|, word for "
      "word.| as in the text.]",
      "[Next|The next|Following] {count} words after[ \"{beginning}\"|: {beginning}]",
      "[Could|Can|Would] you [write|copy|repeat|give] the {count} words [following|that follow|after] "
      "\"{beginning}\"?",
      "[Find|Locate|Look for] \"{beginning}\"[ in the text| above|] and [copy|write|return|repeat] the "
      "{count} words [that follow it|after it|coming next][.|]",
      "[{beginning} ...|{beginning}...] [next|the next|give the next|continue with the next] {count} "
      "words[?|.|]",
      "[I need|I want|Please give] the {count} words that [come|stand|are written] [after|right after] "
      "[\"{beginning}\"|'{beginning}'] [in the text|above][.|]",
      "[What comes|What follows|Which words come|Which words stand] [right |directly |]after "
      "\"{beginning}\"? [Give {count} words.|{count} words, exactly.|Limit it to {count} words.|Only the "
      "first {count} words.]"},
     {"Quote exactly {count} words, starting behind \"{beginning}\".",
      "What are the {count} words behind \"{beginning}\"?"}},
    {Slot::kCopyLine,
     {"[Continue|Finish|Go on with] the line that [begins|starts|opens][:| with:] {beginning}",
      "[Repeat|Write|Copy|Give|Output] [the rest|the remainder|the remaining part] of the line [after|"
      "behind|that follows][: {beginning}| \"{beginning}\"]",
      "What [comes|stands|follows|is written] after \"{beginning}\" [up to|until|till] the end of [that|"
      "the|its] line[?|]",
      "[A line|One line|Some line] [starts|begins|opens] with \"{beginning}\". [What is the rest of it?|"
      "How does it end? Give the rest only.|Write the rest.|Copy what follows on it.]",
      "The rest of the line after[ \"{beginning}\"|: {beginning}][?|]",
      "[Finish|Continue] [it|this line] [as in|just as in|exactly as in] [the text|the document|the "
      "context]: {beginning}",
      "{beginning}[...| ...] [go on to the end of the line|continue to the end of the line|and the rest of "
      "the line?|finish the line]",
      "[Could|Can|Would] you [finish|continue|go on with] the line [beginning|starting] with "
      "\"{beginning}\"?",
      "[Which|What] words [end|finish|close] the line that [begins|starts|opens] with \"{beginning}\"? [Do "
      "not repeat its beginning.|Only the rest, please.|Leave out the beginning.]",
      "[Given|From] the [start|beginning|opening] \"{beginning}\", [write|give|copy|recall] the [rest|"
      "remainder|remaining words] of [that|the] line[.|]",
      "[Find|Locate] \"{beginning}\"[ and|, then] [copy|write|give|return] [all|everything] [that follows|"
      "after it|behind it] on [that|the same] line[.|]",
      "[rest of line|remaining line|line remainder|till end of line][:| after:] {beginning}"},
     {"Complete this line as it stands above: {beginning}", "How does the line \"{beginning}\" go on?"}},
    {Slot::kCopyCode,
     {"[Repeat|Copy|Output|Print|Write|Give] the [whole|entire|complete|full] [string|code] [that begins "
      "with|that starts with|beginning with|starting with] [{beginning}|\"{beginning}\"|'{beginning}'|"
      "`{beginning}`]",
      "[Copy|Reproduce|Repeat|Return] the [code|string|key|token] [starting with|beginning with|that "
      "starts with] {beginning} [exactly|completely|to its end|character by character|in full].",
      "[Which|What] [random |long |]string [starts|begins|opens] with [{beginning}|\"{beginning}\"][?|]",
      "[Find|Locate|Search for|Look up] the [string|code|token] with the [prefix|beginning|first "
      "characters] {beginning}[ and copy all of it| and repeat it whole| and print it|].",
      "[complete|autocomplete|expand|extend|grep|find by prefix][:|] {beginning}",
      "{beginning}[*|...|: the whole string?| -- the complete code, please.|: full code?]",
      "[What is|Tell me|Give me|Show me] the [entire|complete|whole|full] [code|string|token] [that|which] "
      "[begins|starts] with {beginning}[?|]",
      "[Could|Can] you [write|copy|repeat] the [code|string] [beginning with|starting with|whose prefix "
      "is] {beginning} [to the end|completely|without a gap]?",
      "[One|A|Some] [line|random string|code] above [starts|begins] with {beginning}. [Copy it whole.|What "
      "is it?|Repeat it completely.|Print all of it.]",
      "[I need|I want] [all of|the whole of] the [code|string|token] that [begins|starts] with "
      "{beginning}[.|, every character.|]",
      "[The prefix is|Prefix:|prefix =|Beginning:] {beginning}[. Which string is it?|. Give the complete "
      "string.|; print the string|]"},
     {"Write out the full sequence whose start is {beginning}",
      "{beginning}... how does this string read in full?"}},
    {Slot::kLineByBeginning,
     {"[Which|What] line [begins|starts|opens] with \"{beginning}\"? [Quote it exactly.|Quote the whole "
      "line.|Repeat the full line.|Copy it from its first word to its last.]",
      "[Quote|Copy|Output|Print|Return] the [whole|entire|complete|full] line that [starts|begins|opens] "
      "with[: {beginning}| \"{beginning}\"| '{beginning}']",
      "[Repeat|Reproduce|Write|Give] the [complete|full|entire|whole] line [beginning|starting|opening] "
      "with \"{beginning}\"[.|, its beginning included.|, word for word.]",
      "[Give|Show|Tell] me the [full|complete|entire] line that [opens|begins|starts] with: {beginning}",
      "[A line|One line|Some line] [above|of the text|in the text] [starts|begins] with \"{beginning}\". "
      "[Quote all of it, beginning included.|Repeat the entire line.|What does the full line say?|Copy the "
      "whole line.]",
      "[full line|whole line|entire line|complete line] [starting with|beginning with|that starts with][: "
      "{beginning}| \"{beginning}\"]",
      "[grep|find|search|print the line matching] \"^{beginning}\"",
      "[Could|Can|Would] you [quote|repeat|copy|show me] the [entire|complete|whole] line [beginning|that "
      "begins|that starts|starting] with \"{beginning}\"?",
      "\"{beginning}\"[ is the beginning of a line: quote that line in full.| begins which line? Quote the "
      "whole line.| opens a line. Copy the entire line.]",
      "[Search for|Look for|Locate] the line [whose beginning is|with the beginning|that starts with] "
      "\"{beginning}\" and [quote|copy|repeat|return] it [completely|whole|from start to end][.|]",
      "[I need|I want|I am looking for] the [whole|complete|full] line [that begins|that starts|starting] "
      "with \"{beginning}\"[.|, exactly as it is.]",
      "[What does|How does] the [whole|entire|complete] line [that begins|that starts|beginning] with "
      "\"{beginning}\" [say|read|run]?",
      "[Begin|Start] with \"{beginning}\" and [go on to the end of its line|print the line as it is]: the "
      "beginning [belongs to|is part of] the answer.",
      "[{beginning}|\"{beginning}\"|\"{beginning}...\"][: all of this line| -- the full line, with these "
      "words|: the line, uncut|: its line, nothing left out][.|, please.|?]",
      "[Read out|Show|Get|Return] [line|the line] \"{beginning}...\" [in full|uncut|without leaving anything "
      "out|with all its words][.|]"},
     {"Cite in full the line whose first words are \"{beginning}\".",
      "Find the line starting \"{beginning}\" and write all of it."}},
    {Slot::kLineByPhrase,
     {"[Which|What] line [contains|includes|has|mentions] [\"{phrase}\"|the words \"{phrase}\"|the phrase "
      "\"{phrase}\"]? [Quote it exactly.|Quote the whole line.|Copy it in full.|Repeat it.]",
      "[Quote|Copy|Repeat|Print|Output] the [whole|entire|full|complete] line [in which|where|on which] "
      "[\"{phrase}\"|the phrase \"{phrase}\"|'{phrase}'] [occurs|appears|stands|is found][.|]",
      "[Repeat|Give|Show|Return|Print] the [|entire |complete ]line [with the words|with the phrase|that "
      "contains the words|containing the phrase][: {phrase}| \"{phrase}\"]",
      "[On|In] [which|what] line [do the words|does the phrase|does] \"{phrase}\" [occur|appear|stand]? "
      "[Quote it.|Copy that line.|Give the whole line.|Write that line exactly.]",
      "[grep|find|search|rg|Ctrl-F] [\"{phrase}\"|'{phrase}'|: {phrase}]",
      "[Find|Search for|Look for|Locate] [\"{phrase}\"|the phrase \"{phrase}\"|the words \"{phrase}\"] and "
      "[quote|copy|return|repeat] the [whole|entire|complete] line [around it|it stands on|it is part of|"
      "there][.|]",
      "[full line|whole line|line] [containing|with|that has|around] [\"{phrase}\"|the words: {phrase}]",
      "[Could|Can|Would] you [quote|show me|copy|repeat] the [whole |full |entire |]line [containing|that "
      "contains|with] \"{phrase}\"?",
      "\"{phrase}\"[ is part of one line. Quote that line.| occurs on which line? Quote it whole.| -- "
      "quote the line it comes from.|: copy the complete line.]",
      "[Somewhere|In one place] the text [says|reads] \"{phrase}\". [Quote the whole line there.|What is "
      "the full line?|Copy that line from its beginning.]",
      "[I need|I want|Please find] the [complete|whole|full] line that [contains|has|mentions|uses] [the "
      "words |the phrase |]\"{phrase}\"[.|]"},
     {"Cite the line where one reads \"{phrase}\".", "Write out the line that includes: {phrase}"}},
    {Slot::kLineByNumber,
     {"[What does|What did] line [{number}|no. {number}|number {number}|#{number}] [say|read|contain|look "
      "like][?|]",
      "[Quote|Copy|Print|Output|Show|Return|Display|Give me] line [{number}|no. {number}|number {number}] "
      "[exactly|verbatim|word for word|as it is|in full][.|]",
      "[Repeat|quote|copy|print|get|read|fetch|recite] line {number}[.|]",
      "[Line|line|Line no.|line number|L] {number}[?|:|, please|, please.| =]",
      "[What is|What stands|What is written|What do you read] [on|in|at] line [{number}|number {number}][?|]",
      "[Which|What] [text is|text stands|words are|words stand] [on|at|in] line {number}?[ Quote exactly.| "
      "Copy it.|]",
      "[Go|Jump|Scroll] to line {number} and [quote|copy|repeat|print] [it|its text|what it says][.|]",
      "[Could|Can|Would] you [quote|read me|repeat|copy|show me] line [{number}|number {number}][?|, "
      "please?]",
      "[I need|I want|Please give me] [line {number}|the text of line {number}|the content of line "
      "{number}|the words of line {number}][.|]",
      "[The text|The contents|The content|The wording|text] of line [{number}|number {number}][?|.|, "
      "please.]",
      "[sed -n {number}p|:{number}|lines({number})|line({number})|get_line({number})|cat text, line "
      "{number}]",
      "{number}[: what does this line say?|: quote the line with this number.|: the line with this "
      "number, please.]"},
     {"Write out what stands on line {number}.", "Cite the line numbered {number}."}},
    {Slot::kSymbolQuestion,
     {"[Which|What] line [defines|contains the definition of|has the definition of|gives the definition "
      "of] [`{name}`|{name}|'{name}'|\"{name}\"]? [Quote it exactly.|Quote it.|Copy that line.|Repeat it "
      "as it is.]",
      "[Quote|Copy|Print|Output|Return|Repeat] the line [with the definition of|that has the definition of|"
      "where we find the definition of|at which you find the definition of] [{name}|`{name}`][.|]",
      "Where is [{name}|`{name}`|the symbol {name}] [defined|implemented|created]? [Repeat that line.|"
      "Quote the line.|Copy the line exactly.|Answer with the line.]",
      "[Find|Locate|Look up|Search for] the [definition|defining line] of [`{name}`|{name}|'{name}'][.| "
      "and quote it.| and copy the line.|]",
      "[goto definition|go to definition|jump to definition|find definition|definition|def][:| of] [{name}|"
      "`{name}`]",
      "[grep|rg|ctags|git grep] [the definition of |]{name}[| -- only its definition]",
      "On [which|what] line is [{name}|`{name}`|the name {name}] [defined|implemented|given its "
      "definition]? [Quote it.|Copy it.]",
      "[Could|Can|Would] you [quote|copy|print|repeat] the line [defining|that defines|where I find the "
      "definition of] [`{name}`|{name}]?",
      "[The definition of|Definition of|definition line of|the defining line of] [`{name}`|{name}|"
      "\"{name}\"][?|:|, please|.]",
      "[`{name}`|{name}] is defined [somewhere|once|in this code|above][. Quote that line.|: on which "
      "line? Copy it.|; repeat the line.]",
      "[How|With which line|By what line] does the definition of [`{name}`|{name}] [begin|start]? [Quote "
      "the line.|Copy the line.]",
      "[I need|I want|I am looking for] the line [in|on|at] which [`{name}`|{name}] is [defined|"
      "implemented][.|; quote it.]",
      "[`{name}`|{name}][: definition?|: where is it defined? Quote the line.| -- quote its definition "
      "line.]"},
     {"Show the line that introduces `{name}`.", "By which line is {name} declared and defined? Cite it."}},
};

}  // namespace

const std::vector<Wordings>& wordings_written_english() { return kWritten; }

}  // namespace mneme::tasks
