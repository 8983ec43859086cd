// The second half of the English wordings: variables, words, extraction, tools, drawings, files.
#include "tasks/wordings.h"

namespace mneme::tasks {

namespace {

const std::vector<Wordings> kWritten = {
    {Slot::kVariableQuestion,
     {"[Find|List|Collect|Give|Return] all variables that [are assigned|get|receive|have|carry|contain] "
      "the value {value}[.|, directly or through other variables.|, copies included.]",
      "[Which|What] variables [have|contain|carry|are set to|are equal to|store] [the value |]{value}[?|, "
      "directly or by copying?|, copies included?]",
      "[List|Print|Output|Write] the names of [all|the] variables [equal to|set to|with the value|whose "
      "value is|that contain] {value}[.|]",
      "What variables hold {value}, [directly or by copying|directly or through a copy|by assignment or by "
      "copy]?",
      "[{value}: which variables have it?|{value}: all variables?|{value} -- who has this value? List the "
      "variables.|{value} is the value of which variables?]",
      "[Trace|Track|Follow] the value {value} and [list|name|give|return] [all|the] variables that [have "
      "it|get it|receive it|store it][.|]",
      "[To|In] [which|what] variables [was|is] [the value |]{value} [assigned|stored|copied|kept|passed "
      "on][?|]",
      "[Could|Can] you [list|name|find] [all variables|the variables|each variable] [with|equal to|that "
      "have] [the value |]{value}?",
      "[vars|variables|all variables|names] [where value ==|with value =|where value =|==] {value}[?|]",
      "[After|At the end of|When] all [assignments|statements|copies], which variables [equal|have the "
      "value|are set to|contain] {value}?",
      "[I need|I want|Tell me|Show me] [the names of |]all variables [whose value is|that are set to|"
      "which have|carrying] {value}[.|, in the order of their assignment.]"},
     {"Name every variable that ends up as {value}.", "Into which variables does {value} flow?"}},
    {Slot::kFrequentQuestion,
     {"[What are|Which are|Tell me] the {count} [most frequently appeared|most frequent|most common|most "
      "frequently used|commonest] words [in|of] the [above coded text|coded text|text above|text][?|]",
      "[List|Output|Print|Write|Return] the {count} most [common|frequent|used] words [of|in] the [text|"
      "list|coded text][, most common first|, ordered by frequency|, starting with the most frequent|][.|]",
      "[Which|What] {count} words [occur|appear|are used|turn up|are found] most [often|frequently][?|]",
      "[Count|Tally] the words[ of the text| above|] and [give|return|name|list] the {count} [most "
      "frequent|most common|commonest][ ones|][.|]",
      "[Top|top] {count} words[?|:| by frequency| by count|, most frequent first]",
      "[Find|Determine|Compute] the {count} [words with the highest counts|words of highest frequency|most "
      "frequent words|words used most][.|]",
      "[Of|Among] all [words|the words] above, which {count} [are the most frequent|have the highest "
      "counts|occur most|are most common]?",
      "[Could|Can] you [list|tell me|find|name] the {count} [most frequent|most common|most used] words[ "
      "of the text| above|]?",
      "[I need|I want|Show me|Please give me] the {count} [most frequent|most common|commonest] words[ of "
      "the text|][.|, most frequent first.]",
      "[most_common|top_words|most_frequent]({count})",
      "[Sort|Order] the words by [frequency|their counts] and [print|give|keep|return] the first "
      "{count}[.|]",
      "The {count} [most frequent|commonest|most common|most used] words [are|were|of the text][?|:| ...]"},
     {"Give the {count} words that are repeated most.",
      "Rank the {count} leading words by how often they come."}},
    {Slot::kMostFrequent,
     {"[Which|What] word [occurs|appears|is used|turns up|is found] [most often|most frequently|most][?|]",
      "What is the [most frequent|most common|commonest|most used] word [of|in] the [coded text|text|list|"
      "context][?|]",
      "[Find|Give|Return|Print|Tell me|Output] the [most frequent|most common|commonest|most used] word[.| "
      "of the text.| above.|]",
      "[Which|What] word [has|reaches] the [highest|largest|greatest] [count|frequency|number of "
      "occurrences][?|]",
      "[Count|Tally] the words and [give|return|print|write] the [most frequent|most common|commonest] "
      "one[.|]",
      "[Top word|top word|most frequent word|most common word|Commonest word][?|:| in the text?|]",
      "[Of|Among] all [words|the words] above, which [is the most frequent|has the highest count|occurs "
      "most|is most common]?",
      "[Could|Can] you [tell me|find|give me] the [most frequent|most common|commonest] word[ of the "
      "text|]?",
      "[most_common(1)|argmax of the word counts|mode of the words|max by count]",
      "[I need|I want|I am looking for] the [word|one word] that [occurs|appears|is used] [most often|most "
      "frequently][.|]",
      "[One|A single] word [is more frequent|is used more often|occurs more often] than [all|the] [others|"
      "rest][. Which|: which one|; which is it]?"},
     {"Name the word that is repeated more than any other.", "What word comes up the most times?"}},
    {Slot::kExtractQuestion,
     {"[Extract|Get|Pull out|Take] the [record|data|entry|facts] of {subject} as JSON with the keys "
      "{keys}[.|]",
      "[Return|Output|Give|Produce|Generate|Build] [a JSON object|JSON|one JSON object] with [the keys|the "
      "fields|keys] {keys} for {subject}[.|]",
      "{subject}[:|,] [give|extract|return|list|write] {keys} [as|in] JSON[.|]",
      "[Turn|Convert|Put] what the text says [about|of|on] {subject} into JSON[. Keys: {keys}.|, keys "
      "{keys}.|; use the keys {keys}.| with the fields {keys}.]",
      "[Keys|Fields|keys|fields]: {keys}. [Subject|Record|Entry|About|Item]: {subject}. [Answer in JSON.|"
      "JSON only.|Output JSON.|Return JSON.]",
      "[extract|json|to_json|parse]({subject}; {keys})",
      "[Could|Can|Would] you [extract|give|return|write] {keys} [of|for] {subject} [as JSON|as a JSON "
      "object|in JSON]?",
      "[For|About] {subject}, [fill in|give|provide|extract] [this JSON|a JSON object|JSON]: {keys}[.|]",
      "[What are {keys} of {subject}?|What is known about {subject}: {keys}?|Tell me {keys} for {subject}.|"
      "Show {keys} of {subject}.] [Answer as JSON.|Reply with a JSON object.|JSON, please.|Format: JSON.]",
      "[Find|Locate|Look up] {subject}[ in the text| above|] and [return|output|write] [a JSON object|"
      "JSON] with {keys}[.|]",
      "[As|In] JSON[:|,] {keys} [of|for] {subject}[.|]",
      "[I need|Please give me|Please return] [a JSON object|JSON|a JSON record] [about|for|describing] "
      "{subject} with [exactly |only |]the keys {keys}[.|]",
      "[Schema|JSON schema|Columns|Keys]: {keys}. [Extract|Fill it in for|Apply it to|Use it for] "
      "{subject}[.|]",
      "select {keys} [from text |from records |]where subject = [{subject}|'{subject}'][ as json| format "
      "json|]"},
     {"Write down {subject} as a JSON object having {keys}.", "I want {keys} of {subject}, in JSON only."}},
    {Slot::kAllValuesQuestion,
     {"What are all the [special magic |special |]{type}s [for|of|given for] {key}[ mentioned in the "
      "provided text| in the text|][?|]",
      "[List|Give|Name|Write down|Print] [all|every one of] the {type}s [of|for] [{key}|\"{key}\"][.|, "
      "separated by commas.|]",
      "[Which|What] {type}s [were|are] [given|noted|recorded|mentioned] for [{key}|`{key}`][?|]",
      "[{key}|\"{key}\"][: all {type}s?| -- every {type}, please.|: all of its {type}s]",
      "[Find|Collect|Look up] [every|each] {type} [of|for] {key}[ in the text|][.|]",
      "{key} has [several|more than one] {type}[. Which ones?|: list them.|: give them all.]"},
     {"Enumerate each {type} that goes with {key}.",
      "For {key} more than a single {type} was put down: state them all."}},
    {Slot::kSeveralKeysQuestion,
     {"What are all the [special magic |special |]{type}s for {keys}[ mentioned in the provided text| in the "
      "text|][?|]",
      "[Give|List|Tell me|Write down|Print] the {type}s [of|for] {keys}[, in this order|, separated by "
      "commas|][.|]",
      "[Which|What] {type}s [belong to|are given for|were noted for] {keys}[?|]",
      "{keys}[: their {type}s?| -- the {type} of each, please.|: {type}s?]",
      "[Find|Look up] {keys} and [give|list|return] [their {type}s|the {type} of each][.|]"},
     {"Report the {type} of each of these: {keys}.", "In this order, state what goes with {keys}."}},
    {Slot::kToolPreamble,
     {"[You can|You may|You are able to] [call|use|run] [these|the following|the listed] [tools|"
      "functions][:|.]",
      "[Available|Available to you|Usable|Callable|Known|Defined|Registered] [tools|functions|commands][:| "
      "are:]",
      "[Tools|TOOLS|Functions|Commands]. [Answer with a JSON call.|Reply with one call in JSON.|Call one "
      "of them as JSON.|Write calls as JSON.]",
      "The following [functions|tools|commands] [may be used|can be called|are available|are defined|are "
      "offered][:|.]",
      "[# |## |### |][Tools|Available tools|Functions|Tool list|API|List of functions][:|]",
      "[Below|Here] [is a list of|are the|are] [tools|functions|available tools|callable functions][:|.]",
      "[These|The following] are [the tools|the functions|your tools|your functions][:|. Pick the right "
      "one.|; choose one for each request.]",
      "[To answer|For each request], [call|use|choose|pick] one of [these|the following] [tools|"
      "functions][:|.]",
      "You [have access to|are equipped with|are given|have] [these|the following|a set of] [tools|"
      "functions][:|.]",
      "[tools|functions|api|tool_list] [=|:]"},
     {"Here is what you may invoke:", "Functions at your service:"}},
    {Slot::kToolQuestion,
     {"[Please|Now|Please go and|Kindly] {what} with {arguments}[.|, thank you.|]",
      "[I want to|I would like to|I need to|I have to|I wish to|We want to|Let us] {what}[:|, with|;] "
      "{arguments}[.|]",
      "[Call|Use|Run|Choose|Pick] the [right |matching |]tool to {what}[;|:|, with] {arguments}[.|]",
      "[Could|Can|Would|Will] you [please |]{what}? [The details: |Details: |With |Take |]{arguments}[.|]",
      "[{what}|TASK {what}|task: {what}|request: {what}] [with|:|--|using] {arguments}[.|]",
      "[With|Taking|Using] {arguments}, [please|now|kindly|try to|go on to] {what}[.|]",
      "[Arguments|Parameters|Details|Given]: {arguments}. [Task|Request|Action|To do|Goal]: {what}[.|]",
      "[What call|Which call] [would|will|does] {what} [with|for] {arguments}[?|]",
      "[How do|How can|How would] [I|we|you] {what} with {arguments}? [Make the call.|Give the call.|"
      "Answer with the call.]",
      "[My task is to|Your task is to|The user asks you to|The plan is to|Someone has to] {what}[. The "
      "arguments: |. Details: |, with |: ]{arguments}[.|]",
      "[Issue|Make|Write|Produce|Generate] [a call|one call|the call] [to|that will] {what} with "
      "{arguments}[.|]",
      "[Go ahead and|Be so kind as to|Do me a favour and] {what}[; |: | with ]{arguments}[.|]"},
     {"It is time to {what}. Use {arguments}.", "Help me {what}, given {arguments}."}},
    {Slot::kToolArgument,
     {"{name} {value}", "{name} is {value}", "{name} [set to|equal to|is set to] [{value}|\"{value}\"]",
      "{value} as {name}", "{name}[: | = |=| -> ]{value}",
      "{name} [should be|must be|shall be|has to be|will be] {value}",
      "[{value}|\"{value}\"] [is meant as|serves as|is to be used as|goes in as] {name}",
      "{name} \"{value}\"", "{name} ({value})", "{value} ({name})"},
     {"{name} being {value}", "{value} for {name}"}},
    {Slot::kSvgRecord,
     {"[Figure|Fig.|Image|Drawing|Diagram] {name}: {shapes}.",
      "The [drawing|picture|figure|image|diagram|icon] {name} [has|contains|holds|includes|is made of|is "
      "composed of] {shapes}.",
      "[Picture|Drawing|Diagram|Icon|Graphic] {name} [consists of|comprises|is built from|is composed of|"
      "contains] {shapes}.",
      "[In|On] the [picture|drawing|figure|image|diagram] {name} [there is|you find|was drawn|we drew|they "
      "placed] {shapes}.",
      "[{name}|The image {name}|The graphic called {name}] [is drawn as|is described as|looks like this]: "
      "{shapes}.",
      "[They|We|The artists] [drew|painted|designed] {name} as [follows: |this: |]{shapes}.",
      "[To draw|To make|To paint|For] {name}, [you need|take|use|put] {shapes}.",
      "[Description of|Content of|Contents of|Elements of] {name}: {shapes}."},
     {"On the sheet {name} one sees {shapes}.", "Sketch {name} shows {shapes}."}},
    {Slot::kSvgQuestion,
     {"[Draw|Paint|Output|Encode|Export|Express|Save|Give] [{name}|the figure {name}|the drawing {name}|"
      "the image {name}] as [SVG|an SVG|SVG code|an SVG image][.|]",
      "[Write|Print|Show|Return|Output|Produce] the SVG [of|for|of the figure|of the drawing|source of|"
      "markup of|text of] [{name}|\"{name}\"|'{name}'][.|]",
      "What is [{name}|the figure {name}|the drawing {name}|the picture {name}] in SVG[?|]",
      "[What|How] [does|would] [{name}|the drawing {name}] look [like |]as [SVG|SVG code|SVG markup][?|]",
      "[Turn|Convert|Translate|Transform|Make] [{name}|the picture {name}|the drawing {name}|the figure "
      "{name}] [into|to] [SVG|an SVG|SVG markup][.|]",
      "[SVG|svg] [of|for][:|] [{name}|\"{name}\"][?|, please|]",
      "{name}[ as SVG?| as SVG, please.|: SVG?|, svg|: the SVG, please.| -> svg]",
      "[Could|Can|Would] you [draw|write|convert|express|encode] [{name}|the picture {name}] [as|into] "
      "SVG[?|, please?]",
      "[I need|I would like|I want|Please write|Please make] [an SVG|the SVG|the SVG image|the SVG markup] "
      "of [{name}|the drawing {name}|the figure {name}][.|]",
      "[draw|to_svg|svg|export_svg][({name})|: {name}]"},
     {"Give me SVG code for {name}.", "Render {name} in SVG."}},
    {Slot::kSvgCircle,
     {"a {colour} circle with [centre|the centre|its centre at] ({x}, {y}) and [|a |the ]radius [|of ]{r}",
      "a {colour} circle of radius {r} [at|centred at|centred on|with its centre at] ({x}, {y})",
      "at ({x}, {y}) a [circle in {colour}, radius {r}|circle of radius {r} in {colour}|{colour} circle, r "
      "= {r}|{colour} circle of radius {r}]",
      "a circle [filled in|coloured|painted|in] {colour}[,|:] [centre|centred at|at] ({x}, {y}), [radius|r "
      "=] {r}",
      "a {colour} circle [({x}, {y}), r = {r}|at ({x}, {y}), radius {r}|centred on ({x}, {y}), radius {r}|"
      "with cx, cy = ({x}, {y}) and r = {r}]",
      "with radius {r}[ and|, with its] centre [at |]({x}, {y}), a [{colour} circle|circle in {colour}]",
      "a {colour} dot [of radius|with a radius of] {r} [whose centre is|about the point|about] ({x}, {y})"},
     {"a {colour} disc around ({x}, {y}) with radius {r}",
      "a round {colour} spot, middle ({x}, {y}), radius {r}"}},
    {Slot::kSvgRect,
     {"a {colour} rectangle at ({x}, {y}), {w} wide and {h} [high|in height]",
      "a {colour} [rectangle|box] of width {w} and height {h} with [its|the] [|upper left |first ]corner "
      "[at|on] ({x}, {y})",
      "at ({x}, {y}) a {colour} [box|rectangle], {w} [by|times|x] {h}",
      "a [rectangle|box] in {colour} [at|with its corner at|whose corner is] ({x}, {y}), [{w} wide, {h} "
      "high|size {w} by {h}|width = {w}, height = {h}]",
      "with its corner at ({x}, {y}), [a {w} by {h} {colour} rectangle|a {colour} rectangle of {w} by {h}|"
      "a {colour} box of width {w} and height {h}]",
      "a {w} by {h} [{colour} rectangle|{colour} box|rectangle in {colour}] [at|with its corner at|whose "
      "corner lies at] ({x}, {y})",
      "a {colour} rectangle[ that is|,] {w} wide and {h} high[ and has its corner at|, its corner at|, "
      "lying at] ({x}, {y})"},
     {"a {colour} block from ({x}, {y}), width {w}, height {h}",
      "a {colour} oblong {w} x {h} placed at ({x}, {y})"}},
    {Slot::kSvgLine,
     {"a {colour} line [from|drawn from|leading from|running from] ({x}, {y}) to ({x2}, {y2})",
      "a line in {colour} [between|from] ({x}, {y}) [and|on to] ({x2}, {y2})",
      "from ({x}, {y}) [a {colour} line|a straight {colour} line|a line in {colour}] [to|up to|as far as] "
      "({x2}, {y2})",
      "a [straight |thin |]{colour} line [between|connecting] ({x}, {y}) and ({x2}, {y2})",
      "between ({x}, {y}) and ({x2}, {y2}) [a {colour} line|a line in {colour}|a line coloured {colour}]",
      "[|a line ]({x}, {y}) to ({x2}, {y2})[ as a {colour} line|, drawn in {colour}|, a straight line in "
      "{colour}]",
      "a {colour} line with the [ends|end points|two ends] ({x}, {y}) and ({x2}, {y2})"},
     {"a {colour} stroke that joins ({x}, {y}) with ({x2}, {y2})",
      "a {colour} segment starting at ({x}, {y}) and ending at ({x2}, {y2})"}},
    {Slot::kFileByPhrase,
     {"[In|Within] [which|what] [file|document] [does|would] [\"{phrase}\"|the text \"{phrase}\"|the "
      "phrase \"{phrase}\"] [occur|appear|stand][?|]",
      "Which file [contains|has|includes|mentions] [\"{phrase}\"|the phrase \"{phrase}\"|the text "
      "\"{phrase}\"|the words: {phrase}][?|]",
      "[Name|Give|Tell me|Print|Return] the file [with the text|with the phrase|containing|that contains|"
      "where we find][: {phrase}| \"{phrase}\"]",
      "Where [does one find|do we find|can I find|is|stands] \"{phrase}\"? [Give the file name.|Name the "
      "file.|Answer with the file name.|Only the file's name.]",
      "[grep -l|rg -l|grep -rl|git grep -l|find the file with][ \"{phrase}\"| '{phrase}']",
      "[From|Out of] which [file|document] [does [the text |the phrase |]\"{phrase}\" come|is [the "
      "quotation |the text |]\"{phrase}\" [taken|copied]][?|]",
      "[file name|filename|file|which file][: |? ]\"{phrase}\"",
      "\"{phrase}\"[: which file?| is in which file?| occurs in what file?| -- name the file.|: give its "
      "file.]",
      "[Could|Can|Would] you [tell me|name|find|give me] [the file|the name of the file] [containing|that "
      "contains|with] \"{phrase}\"?",
      "[Search|Look through|Go through] the files for \"{phrase}\" and [return|give|name|print] the [file "
      "name|name of the file|file it is in][.|]",
      "[I need|I am looking for|I want] the [name of the file|file name|file] [in which|where] "
      "\"{phrase}\" [occurs|appears|is written][.|]",
      "[One|Some|Exactly one] file [contains|has] [the text |the phrase |]\"{phrase}\"[. Which one?|. "
      "Name it.|: which?|. Give its name.]"},
     {"What file holds the words \"{phrase}\"?", "State the file in which one reads: {phrase}"}},
    {Slot::kFirstLineOfFile,
     {"[What is|Tell me|Give me|What was] the [first|opening|very first] line [of|in] [{file}|the file "
      "{file}|`{file}`|\"{file}\"][?|]",
      "[Quote|Print|Show|Copy|Return|Output] the [first|opening] line of [the file {file}|{file}|"
      "`{file}`][.|, exactly.|]",
      "[How|With what|With which words] does [{file}|the file {file}|`{file}`] [begin|start]?[ Quote its "
      "first line.| Give line 1.| Copy the first line.|]",
      "[Repeat|Quote|Print|Copy|Read] line [1|one|number 1] of [{file}|the file {file}][.|]",
      "[head -1|head -n 1|sed -n 1p|first line of|line 1 of] {file}",
      "[{file}|`{file}`][: first line?|, line 1| -- its first line, please.|: quote the first line.|: line "
      "one?]",
      "[Which|What] line [comes|stands|is] first in [{file}|the file {file}][?|]",
      "[Open|Go to|Look at|Find] [{file}|the file {file}] and [quote|copy|repeat|return] [its first line|"
      "line 1|the first line][.|]",
      "[Could|Can|Would] you [quote|show me|copy|repeat] the first line of [{file}|the file {file}][?|, "
      "please?]",
      "[In|At the beginning of] [{file}|the file {file}], what does [the first line|line 1] [say|read][?|]",
      "[I need|I want|Please give me] [the first line|line 1|the opening line] of [{file}|the file {file}|"
      "`{file}`][.|]"},
     {"With which line does the file {file} open?", "Cite the top line of {file}."}},
    {Slot::kLineInFile,
     {"In [{file}|the file {file}|`{file}`], [which|what] line [begins|starts|opens] with "
      "\"{beginning}\"?[ Quote it.| Quote the whole line.| Copy it in full.|]",
      "[Quote|Copy|Print|Return|Repeat|Show] the [whole |full |entire |]line [of|in] {file} that [starts|"
      "begins|opens] with[: {beginning}| \"{beginning}\"]",
      "What does {file} say in the [whole |full |]line [beginning|starting|that begins|that starts] [with |"
      "]\"{beginning}\"?",
      "[grep|rg|search] \"^{beginning}\" {file}",
      "[{file}|`{file}`|File {file}]: [quote|copy|repeat|print] the [whole|entire|full|complete] line "
      "[beginning|starting|that begins|that starts] with \"{beginning}\"[.|]",
      "[Open|Go to|Look at|Look into] {file} and [quote|copy|repeat|give] the [whole|entire|complete] line "
      "[beginning|starting|that starts|that begins] with[: {beginning}| \"{beginning}\"]",
      "[Which|What] line of [{file}|the file {file}] [has the beginning|starts with|begins with] "
      "\"{beginning}\"? [Repeat all of it.|Give the full line.|Quote it exactly.]",
      "[A line|One line] [of|in] {file} [begins|starts] with \"{beginning}\"[. Quote the whole line.|: "
      "copy it completely.|. What does the entire line say?]",
      "[Could|Can|Would] you [quote|copy|repeat] the [full|whole|entire] line of {file} [that begins|that "
      "starts|beginning|starting] with \"{beginning}\"?",
      "[Find|Locate|Search for] the line [starting|beginning|that begins] with \"{beginning}\" in {file} "
      "and [quote|copy|repeat|return] it [completely|in full|whole][.|]",
      "[full line|whole line|line] [of|in|from] {file} [starting with|beginning with|with the beginning][: "
      "{beginning}| \"{beginning}\"]",
      "[I need|I want] the [complete|whole|full] line [of|in] [{file}|`{file}`] that [begins|starts] with "
      "\"{beginning}\"[.|]"},
     {"Take {file}: cite the line opening with \"{beginning}\".",
      "Write out the line from {file} whose first words are: {beginning}"}},
};

}  // namespace

const std::vector<Wordings>& more_wordings_english() { return kWritten; }

}  // namespace mneme::tasks
