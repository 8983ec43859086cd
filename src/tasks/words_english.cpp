#include "tasks/words.h"

namespace mneme::tasks {
namespace {

constexpr std::string_view kNouns =
    "falcon harbour lantern meadow orchard pebble quarry river saddle temple anchor basket candle desert "
    "engine "
    "forest garden hammer island jacket kettle ladder marble needle ocean pillow quilt rocket shadow tunnel "
    "umbrella "
    "valley window bridge castle dragon eagle feather glacier horizon ivory jungle kitchen lemon mirror "
    "notebook "
    "onion pencil ribbon spider table voyage walnut yacht zebra acorn blanket carpet diamond elbow flute "
    "guitar "
    "helmet iceberg jewel kingdom lizard magnet nest oyster parrot queen rabbit silver tiger uncle violin "
    "whale "
    "apron barrel camel drum echo fiddle goose hedge insect jar kite leaf mango nail otter piano rope sail "
    "tower "
    "urn vase wheel arrow bell cabin door earth flame gate hill ink jelly key lake mill night oven pear rain "
    "sand tree veil wagon yard attic beach cliff dawn elm fog grape hive iron jade knot lamp moss nut oak "
    "path "
    "reef snow thorn vine wolf badger coral daisy ember fern grove heron ivy juniper kelp lily maple nutmeg "
    "olive "
    "pine quail raven sage thistle tulip willow yarrow cedar birch canyon delta estuary fjord gorge hollow "
    "inlet "
    "lagoon marsh oasis prairie ridge summit tundra upland volcano waterfall";
constexpr std::string_view kNounsHeldOut =
    "abacus bonnet chisel dome easel funnel goblet hinge igloo jigsaw kayak loom mosaic nozzle obelisk "
    "pulley quiver "
    "raft sextant trellis vault winch xylophone yoke zeppelin antler beacon cactus dune ferry gavel harp "
    "isthmus "
    "jackal kiln lever mantle nebula orchid pyramid quartz rudder sphinx tassel vessel wharf almond bamboo "
    "cobra "
    "dolphin emerald flamingo gecko hazel iguana jasmine koala lobster mammoth narwhal opal panther raccoon "
    "salmon "
    "tortoise viper wombat alcove balcony corridor gallery";
constexpr std::string_view kAdjectives =
    "amber bold calm dark eager faint gentle happy idle jolly keen loud mild narrow odd pale quick rough "
    "soft tall "
    "upper vivid warm young zesty brave clever dusty empty fancy golden hollow icy jumpy kind lazy merry "
    "noble orange "
    "proud quiet rapid shiny tidy urban vague wild yellow ancient broken clear distant early frozen great "
    "heavy inner "
    "joint large minor neat open plain royal sharp tiny vast white azure bitter crimson double eastern flat "
    "green "
    "humble iron lively modern northern outer purple rusty scarlet thin violet western second blue cold deep "
    "fresh";
constexpr std::string_view kAdjectivesHeldOut =
    "agile blunt curly damp elastic fuzzy grim hasty immense jagged knotty lunar mellow nimble oblong polar "
    "rigid "
    "solar tangled uneven velvet wicked arid bleak chilly dense exotic fierce glossy hidden indigo lofty "
    "murky "
    "oval placid rustic sturdy teal unique wavy";
constexpr std::string_view kGivenNames =
    "Alice Bruno Clara David Elena Felix Grace Henry Irene Jonas Karen Lucas Maria Nadia Oscar Paula Quentin "
    "Rosa "
    "Simon Teresa Ulrich Vera Walter Yvonne Zoe Adam Bella Carl Diana Edgar Fiona George Hannah Ivan Julia "
    "Kevin "
    "Laura Martin Nina Oliver Peter Rachel Samuel Tanya Victor Wendy Anton Beatrice Conrad Doris";
constexpr std::string_view kGivenNamesHeldOut =
    "Agnes Bernard Celine Dmitri Esther Fabian Greta Hugo Ingrid Jasper Katrin Leopold Miriam Nestor Odette "
    "Pascal "
    "Renata Stefan Thelma Viktor Wilma Xavier";
constexpr std::string_view kSurnames =
    "Adams Becker Carter Dawson Evans Fischer Garcia Hughes Ingram Jensen Keller Lambert Miller Novak Owens "
    "Parker "
    "Quinn Reyes Schmidt Turner Underwood Vasquez Weber Young Zimmerman Barnes Cooper Duncan Ellis Foster "
    "Grant "
    "Harper Jordan King Lopez Mason Nelson Olsen Porter Russell";
constexpr std::string_view kSurnamesHeldOut =
    "Abbott Brandt Castillo Delgado Eriksen Fontaine Gallagher Holloway Ivanov Jankowski Kowalski Lindgren "
    "Moreau "
    "Nakamura Okafor Petrov Rossi Santoro";
constexpr std::string_view kCities =
    "London Paris Berlin Madrid Rome Vienna Prague Lisbon Dublin Oslo Athens Warsaw Boston Chicago Denver "
    "Seattle "
    "Toronto Montreal Sydney Tokyo Osaka Seoul Delhi Mumbai Cairo Nairobi Lagos Lima Bogota Geneva Zurich "
    "Munich "
    "Hamburg Milan Naples Porto Bergen Leeds Bristol Glasgow";
constexpr std::string_view kCitiesHeldOut =
    "Antwerp Bilbao Cracow Dresden Edinburgh Florence Gdansk Helsinki Izmir Jakarta Kyoto Lyon Manila Nantes "
    "Odessa "
    "Perth Quito Riga Sofia Tallinn Utrecht Valencia";
constexpr std::string_view kProducts =
    "laptop printer keyboard monitor desk chair lamp camera phone tablet router cable battery speaker "
    "backpack bottle "
    "jacket bicycle helmet tent stove blender toaster kettle heater fan clock scanner projector microphone";
constexpr std::string_view kProductsHeldOut =
    "drone headset webcam charger turntable telescope microscope dishwasher vacuum thermostat tripod "
    "joystick "
    "amplifier freezer treadmill sofa";

}  // namespace

std::string_view words_written_english(WordClass word_class, Split split) {
  const bool train = split == Split::kTrain;
  switch (word_class) {
    case WordClass::kNoun: return train ? kNouns : kNounsHeldOut;
    case WordClass::kAdjective: return train ? kAdjectives : kAdjectivesHeldOut;
    case WordClass::kGivenName: return train ? kGivenNames : kGivenNamesHeldOut;
    case WordClass::kSurname: return train ? kSurnames : kSurnamesHeldOut;
    case WordClass::kCity: return train ? kCities : kCitiesHeldOut;
    case WordClass::kProduct: return train ? kProducts : kProductsHeldOut;
  }
  return {};
}

}  // namespace mneme::tasks
